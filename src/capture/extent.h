// Size, strides and dtype of a tensor in one shape world; what shape rules compute with.
#pragma once

#include "support/tensor_type.h"

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <c10/util/SmallVector.h>

#include <string>

namespace bifront {

using Dims = c10::SmallVector<int64_t, 5>;

struct Extent {
  Dims sizes, strides;
  at::ScalarType dtype = at::kFloat;
  // A Python number in a tensor's place: does not take part in type promotion as a tensor does.
  bool wrappedNumber = false;

  int64_t dim() const { return static_cast<int64_t>(sizes.size()); }
  int64_t numel() const;
  bool isContiguous() const;
  bool isChannelsLast() const;   // contiguous in channels-last order, 4 dimensions
  bool isChannelsLast3d() const; // the same with 5
  bool isNonOverlappingAndDense() const;
  // Of a dense tensor; empty for the usual order and for a tensor that is not dense.
  std::vector<int64_t> order() const;
  bool operator==(const Extent &) const = default;

  static Extent of(const at::Tensor &tensor); // of a tensor without symbolic sizes
  static Extent contiguous(c10::IntArrayRef sizes, at::ScalarType dtype);
  // Dense, with the dimensions in `order` from the outermost in memory to the innermost.
  static Extent inOrder(c10::IntArrayRef sizes, at::ScalarType dtype, c10::IntArrayRef order);
  static Extent inFormat(c10::IntArrayRef sizes, at::ScalarType dtype, at::MemoryFormat format);
  // The result of a pointwise op on `operand` alone.
  static Extent ofPointwise(const Extent &operand);
  // A tensor of the meta device that has this extent.
  at::Tensor onMeta() const;
};

// The format that `suggest_memory_format` names.
at::MemoryFormat suggestedFormat(const Extent &extent);

// Throws CaptureError for a dtype that graphs do not have.
DType graphDType(at::ScalarType dtype);
at::ScalarType torchDType(DType dtype);

} // namespace bifront
