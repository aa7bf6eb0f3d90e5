// What codegen hands to the executor: the calls, kernels and slots of one graph as plain data, and the
// native function that strings them together. Neither torch nor MLIR is named here.
#pragma once

#include "support/aten_call.h"
#include "support/tensor_type.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bifront {

using SlotId = uint32_t;
constexpr SlotId kNoSlot = ~0u;

// Scalars of the graph live in native code; those that a call needs are stored to the frame first.
union Scalar64 {
  int64_t i;
  double f;
};

// A tensor of the graph. Where `offset` is planned (>= 0) its contents lie there in the arena.
struct TensorSlot {
  ValueType type;
  int64_t offset = -1;
  int64_t bytes = 0;
};

struct OperandRef {
  enum class Kind : uint8_t { Tensor, Int, Float, Bool } kind;
  uint32_t index; // a slot, or a scalar of the frame
};

// A call into ATen.
struct CallStep {
  AtenCall call;
  std::vector<OperandRef> operands;
  std::vector<OperandRef> results;      // one per schema return (lists are spread), then one per written operand
  std::vector<bool> reuse;              // per written operand: its old contents die here, write in place
  std::vector<SlotId> release;          // slots that die after this step
  std::string location;                 // "train.py:12", for exceptions
};

// A pointwise kernel over one iteration space, all operands broadcast to it.
// fn(pointers, strides, n, m, scalars): for each of m rows of n elements. `pointers` and outer strides
// are in operand order: inputs, then outputs; strides are bytes from one row to the next.
using KernelFn = void (*)(char *const *pointers, const int64_t *outerStrides, int64_t n, int64_t m,
                          const Scalar64 *scalars);

enum class InnerAccess : uint8_t { Contiguous, Broadcast, Strided };

struct KernelStep {
  std::string symbol;
  KernelFn fn = nullptr;
  std::vector<SlotId> inputs;
  std::vector<OperandRef> scalars;
  std::vector<SlotId> outputs;
  std::vector<DType> outputTypes;
  // Output k may be written into input `inPlace[k]` (which dies here and has its type), or -1.
  std::vector<int32_t> inPlace;
  std::vector<SlotId> release;
  std::string location;
};

// A write to a tensor of the outside world, or to an attribute of one, at the end of the graph.
struct StoreStep {
  SlotId target;
  SlotId value = kNoSlot; // kNoSlot: None
  std::string attribute;  // empty: the tensor's contents
};

struct InputSpec {
  ValueType type;
  std::string name;
  bool requiresGrad = false;
};

struct AssertSpec {
  std::string message;
};

struct Program;
struct Frame; // runtime/frame.h

// 0: done. Otherwise the frame says what happened (an exception is pending, or assertion `frame.failed`).
using EntryFn = int32_t (*)(Frame *frame);

struct Program {
  std::vector<TensorSlot> slots; // the first inputs.size() are the inputs; scalar inputs use scalars
  std::vector<InputSpec> inputs;
  std::vector<OperandRef> inputPlaces;
  std::vector<OperandRef> returns;
  uint32_t numScalars = 0;
  int64_t arenaBytes = 0;
  std::vector<CallStep> calls;
  std::vector<KernelStep> kernels;
  std::vector<StoreStep> stores;
  std::vector<AssertSpec> asserts;
  EntryFn entry = nullptr;
  std::shared_ptr<void> code; // keeps the machine code alive
};

// What native code calls. All return 0, or a status that the entry passes on.
extern "C" {
int32_t bf_rt_call(Frame *frame, uint32_t call);
int32_t bf_rt_kernel(Frame *frame, uint32_t kernel);
int32_t bf_rt_store(Frame *frame, uint32_t store);
int32_t bf_rt_assert_failed(Frame *frame, uint32_t assertion);
int64_t bf_rt_dim(Frame *frame, uint32_t slot, int64_t index);
}

} // namespace bifront
