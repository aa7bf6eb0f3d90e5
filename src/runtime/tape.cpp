#include "runtime/tape.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

namespace bifront {

// No kernel is meant to see it: it has no dispatch key.
Tape::Tape() : TensorImpl(c10::DispatchKeySet(), caffe2::TypeMeta(), std::nullopt) {}

at::Tensor Tape::make() { return at::detail::make_tensor<Tape>(); }

Tape &Tape::in(const at::Tensor &slot) { return static_cast<Tape &>(*slot.unsafeGetTensorImpl()); }

at::Tensor Tape::popTensor() {
  TORCH_CHECK(!tensors.empty(), "a tape is at its end");
  at::Tensor last = std::move(tensors.back());
  tensors.pop_back();
  return last;
}

Scalar64 Tape::popNumber() {
  TORCH_CHECK(!numbers.empty(), "a tape is at its end");
  Scalar64 last = numbers.back();
  numbers.pop_back();
  return last;
}

std::vector<at::Tensor> Tape::popRows(std::span<const TensorType> types) {
  TORCH_CHECK(tensors.size() % types.size() == 0, "a tape has other pushes on it");
  std::vector<at::Tensor> results;
  for (size_t number = 0; number < types.size(); ++number) {
    std::vector<at::Tensor> parts;
    for (size_t i = number; i < tensors.size(); i += types.size())
      parts.push_back(std::move(tensors[i]));
    results.push_back(rowsOf(parts, types[number]));
  }
  tensors.clear();
  return results;
}

at::Tensor rowsOf(std::span<const at::Tensor> tensors, const TensorType &type) {
  if (!tensors.empty())
    return at::cat(at::TensorList(tensors.data(), tensors.size()));
  std::vector<int64_t> sizes{0};
  for (size_t dim = 1; dim < type.dims.size(); ++dim)
    sizes.push_back(type.dims[dim].world[0]);
  return at::empty(sizes, at::device(type.device).dtype(static_cast<c10::ScalarType>(type.dtype)));
}

} // namespace bifront
