// How one kernel runs over the tensors it is given: the space, its order and each operand's
// strides, worked out as TensorIterator does so that results have the layout that eager's have.
#pragma once

#include "runtime/program.h"

#include <ATen/core/Tensor.h>
#include <c10/util/SmallVector.h>

#include <span>
#include <vector>

namespace bifront {

using Sizes = c10::SmallVector<int64_t, 6>;

class IterationPlan {
public:
  // Whether the plan was made for tensors of these sizes, strides and dtypes, and for these values
  // of KernelStep::sizes.
  bool matches(std::span<const at::Tensor *const> inputs, std::span<const int64_t> sizes) const;

  // Throws c10::Error with a sentence where the tensors are not what the graph took them to be.
  // `slots` are the program's.
  void make(const KernelStep &step, std::span<const TensorSlot> slots,
            std::span<const at::Tensor *const> inputs, std::span<const int64_t> sizes);

  // Runs the kernel. `pointers` are where each operand's contents start, inputs then outputs.
  void run(char *const *pointers, const Scalar64 *scalars) const;

  // The outputs' shape and strides (in elements).
  const Sizes &outputSizes() const { return sizes; }
  const Sizes &outputStrides() const { return strides; }
  int64_t numel() const { return elements; }
  // Input k must be copied to a tensor of the outputs' sizes and strides first.
  bool copyFirst(size_t input) const { return copies[input]; }
  bool anyCopies() const { return hasCopies; }
  // Input k lies in memory as an output does, so that it may be overwritten element by element.
  bool likeOutput(size_t input) const { return sameLayout[input]; }

  // For tests: the rows that the kernel function is called with.
  int64_t rowLength() const { return inner; }
  int64_t rowsPerCall() const { return rows; }
  int64_t calls() const { return outerCount; }

private:
  struct OuterDim {
    int64_t size;
    Sizes steps; // bytes, per operand
  };
  struct Space; // dimensions in the making, fastest first

  void remember(std::span<const at::Tensor *const> inputs, std::span<const int64_t> given);
  void broadcastShape(const KernelStep &step, std::span<const TensorSlot> slots,
                      std::span<const at::Tensor *const> inputs, std::span<const int64_t> given);
  void layOut(std::span<const at::Tensor *const> inputs);
  Space spaceOf(const KernelStep &step, std::span<const at::Tensor *const> inputs) const;
  void chooseRows(const KernelStep &step, Space &space, size_t inputs);
  void setRows(const Space &space, int64_t innerDim);
  void runRows(char *const *pointers, const Scalar64 *scalars, int64_t firstRow, int64_t endRow,
               int64_t first, int64_t end) const;

  std::vector<int64_t> key; // the given sizes; per input: dtype, rank, sizes, strides
  bool made = false;
  Sizes sizes, strides;
  int64_t elements = 0;
  std::vector<bool> copies, sameLayout;
  bool hasCopies = false;

  KernelFn fn = nullptr;
  size_t operands = 0;
  int64_t inner = 1, rows = 1, outerCount = 1;
  std::vector<int64_t> rowSteps; // what fn gets: bytes between rows, then bytes between elements
  std::vector<OuterDim> outer;   // fastest first
};

} // namespace bifront
