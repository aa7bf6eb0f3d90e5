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

} // namespace bifront
