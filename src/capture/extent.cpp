#include "capture/extent.h"

#include "capture/capture_error.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ScalarOps.h>
#include <c10/core/WrapDimMinimal.h>

#include <algorithm>
#include <numeric>

namespace bifront {
namespace {

bool isContiguousIn(const Extent &extent, c10::ArrayRef<int64_t> innermostFirst) {
  int64_t expected = 1;
  for (int64_t d : innermostFirst) {
    if (extent.sizes[d] == 1)
      continue;
    if (extent.strides[d] != expected)
      return false;
    expected *= extent.sizes[d];
  }
  return true;
}

} // namespace

int64_t Extent::numel() const {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

bool Extent::isContiguous() const {
  int64_t expected = 1;
  bool same = true;
  for (int64_t d = dim() - 1; d >= 0; --d) {
    if (sizes[d] == 0)
      return true;
    if (sizes[d] == 1)
      continue;
    same = same && strides[d] == expected;
    expected *= sizes[d];
  }
  return same;
}

bool Extent::isChannelsLast() const {
  static constexpr int64_t order[] = {1, 3, 2, 0};
  return dim() == 4 && isContiguousIn(*this, order);
}

bool Extent::isChannelsLast3d() const {
  static constexpr int64_t order[] = {1, 4, 3, 2, 0};
  return dim() == 5 && isContiguousIn(*this, order);
}

bool Extent::isNonOverlappingAndDense() const {
  if (dim() == 1)
    return sizes[0] < 2 || strides[0] == 1;
  Dims order(dim());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (sizes[a] < 2)
      return false;
    return sizes[b] < 2 || strides[a] < strides[b];
  });
  int64_t expected = 1;
  for (int64_t d : order) {
    if (sizes[d] < 2)
      return true;
    if (strides[d] != expected)
      return false;
    expected *= sizes[d];
  }
  return true;
}

Extent Extent::of(const at::Tensor &tensor) {
  Extent extent;
  extent.sizes.assign(tensor.sizes().begin(), tensor.sizes().end());
  extent.strides.assign(tensor.strides().begin(), tensor.strides().end());
  extent.dtype = tensor.scalar_type();
  extent.wrappedNumber = tensor.unsafeGetTensorImpl()->is_wrapped_number();
  return extent;
}

std::vector<int64_t> Extent::order() const {
  if (isContiguous() || !isNonOverlappingAndDense())
    return {};
  std::vector<int64_t> order(dim());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return strides[a] > strides[b]; });
  return order;
}

Extent Extent::inOrder(c10::IntArrayRef sizes, at::ScalarType dtype, c10::IntArrayRef order) {
  Extent extent = contiguous(sizes, dtype);
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    extent.strides[order[i]] = stride;
    stride *= std::max<int64_t>(sizes[order[i]], 1);
  }
  return extent;
}

Extent Extent::contiguous(c10::IntArrayRef sizes, at::ScalarType dtype) {
  Extent extent;
  extent.dtype = dtype;
  extent.sizes.assign(sizes.begin(), sizes.end());
  extent.strides.resize(sizes.size());
  int64_t stride = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    extent.strides[d] = stride;
    stride *= std::max<int64_t>(sizes[d], 1);
  }
  return extent;
}

Extent Extent::inFormat(c10::IntArrayRef sizes, at::ScalarType dtype, at::MemoryFormat format) {
  if (format != at::MemoryFormat::ChannelsLast && format != at::MemoryFormat::ChannelsLast3d)
    return contiguous(sizes, dtype);
  Extent extent;
  extent.dtype = dtype;
  extent.sizes.assign(sizes.begin(), sizes.end());
  auto strides = format == at::MemoryFormat::ChannelsLast
                     ? c10::get_channels_last_strides_2d(sizes)
                     : c10::get_channels_last_strides_3d(sizes);
  extent.strides.assign(strides.begin(), strides.end());
  return extent;
}

Extent Extent::ofPointwise(const Extent &operand) {
  if (operand.isContiguous())
    return contiguous(operand.sizes, operand.dtype);
  if (operand.isChannelsLast())
    return inFormat(operand.sizes, operand.dtype, at::MemoryFormat::ChannelsLast);
  if (operand.isNonOverlappingAndDense()) {
    Extent same = operand;
    same.wrappedNumber = false;
    return same;
  }
  // As TensorIterator sorts dimensions, from the innermost: where a stride is 0 it cannot tell, and
  // looks further.
  Dims innermostFirst(operand.dim());
  std::iota(innermostFirst.rbegin(), innermostFirst.rend(), 0);
  auto compare = [&](int64_t a, int64_t b) {
    int64_t x = operand.strides[a], y = operand.strides[b];
    if (x == 0 || y == 0)
      return 0;
    if (x != y)
      return x < y ? -1 : 1;
    return operand.sizes[a] > operand.sizes[b] ? 1 : 0;
  };
  for (size_t i = 1; i < innermostFirst.size(); ++i) {
    for (size_t at = i, inner = i; inner-- > 0;) {
      int order = compare(innermostFirst[inner], innermostFirst[at]);
      if (order < 0)
        break;
      if (order > 0) {
        std::swap(innermostFirst[inner], innermostFirst[at]);
        at = inner;
      }
    }
  }
  return inOrder(operand.sizes, operand.dtype,
                 Dims(innermostFirst.rbegin(), innermostFirst.rend()));
}

at::Tensor Extent::onMeta() const {
  if (!wrappedNumber)
    return at::detail::empty_strided_meta(sizes, strides, dtype);
  // PyTorch's meta kernels take numbers as CPU tensors, and some read them.
  at::Tensor number = at::detail::scalar_tensor_static(0, dtype, c10::kCPU);
  number.unsafeGetTensorImpl()->set_wrapped_number(true);
  return number;
}

at::MemoryFormat suggestedFormat(const Extent &extent) {
  // As TensorImpl::compute_channels_last_*: strides decide, not only contiguity.
  if (extent.dim() == 4 && c10::is_channels_last_strides_2d(extent.sizes, extent.strides))
    return at::MemoryFormat::ChannelsLast;
  if (extent.dim() == 5 && c10::is_channels_last_strides_3d(extent.sizes, extent.strides))
    return at::MemoryFormat::ChannelsLast3d;
  return at::MemoryFormat::Contiguous;
}

DType graphDType(at::ScalarType dtype) {
  switch (dtype) {
  case at::kByte: return DType::UInt8;
  case at::kChar: return DType::Int8;
  case at::kShort: return DType::Int16;
  case at::kInt: return DType::Int32;
  case at::kLong: return DType::Int64;
  case at::kHalf: return DType::Half;
  case at::kFloat: return DType::Float;
  case at::kDouble: return DType::Double;
  case at::kComplexHalf: return DType::ComplexHalf;
  case at::kComplexFloat: return DType::ComplexFloat;
  case at::kComplexDouble: return DType::ComplexDouble;
  case at::kBool: return DType::Bool;
  case at::kBFloat16: return DType::BFloat16;
  default:
    throw CaptureError(std::string("a graph has no tensors of dtype ") + c10::toString(dtype));
  }
}

at::ScalarType torchDType(DType dtype) { return static_cast<at::ScalarType>(dtype); }

static_assert(static_cast<int>(DType::UInt8) == static_cast<int>(at::kByte));
static_assert(static_cast<int>(DType::Float) == static_cast<int>(at::kFloat));
static_assert(static_cast<int>(DType::ComplexDouble) == static_cast<int>(at::kComplexDouble));
static_assert(static_cast<int>(DType::Bool) == static_cast<int>(at::kBool));
static_assert(static_cast<int>(DType::BFloat16) == static_cast<int>(at::kBFloat16));

} // namespace bifront
