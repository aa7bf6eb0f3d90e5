#include "runtime/tape.h"

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

} // namespace bifront
