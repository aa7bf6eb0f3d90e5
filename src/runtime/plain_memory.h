// Tensors whose memory has their values as they are, for code that reads it without ATen.
#pragma once

#include <ATen/core/Tensor.h>

namespace bifront {

// Whether nothing is to be conjugated, negated or filled with zeros first.
inline bool isResolved(const at::Tensor &tensor) {
  constexpr auto unresolved = c10::DispatchKeySet(
      {c10::DispatchKey::Conjugate, c10::DispatchKey::Negative, c10::DispatchKey::ZeroTensor});
  return !tensor.key_set().has_any(unresolved);
}

inline bool isPlainMemory(const at::Tensor &tensor, c10::ScalarType type) {
  return tensor.defined() && tensor.scalar_type() == type && tensor.is_cpu() &&
         tensor.layout() == at::kStrided && isResolved(tensor);
}

// In order, as tensors are created, and not empty.
inline bool liesInOrder(const at::Tensor &tensor) {
  int64_t stride = 1;
  for (int64_t d = tensor.dim() - 1; d >= 0; --d) {
    if (tensor.size(d) == 0 || tensor.stride(d) != stride)
      return false;
    stride *= tensor.size(d);
  }
  return true;
}

} // namespace bifront
