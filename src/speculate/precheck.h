// What must hold before a graph may run: of each input tensor, and of PyTorch's modes.
#pragma once

#include "support/tensor_type.h"

#include <ATen/ThreadLocalState.h>
#include <ATen/core/Tensor.h>
#include <c10/core/DispatchKeySet.h>

#include <vector>

namespace bifront {

// PyTorch's process- and thread-wide settings that change what a program computes.
struct GlobalModes {
  bool grad, inference, deterministic, autocast;
  at::ScalarType defaultDtype, autocastDtype;
  static GlobalModes now();
  bool operator==(const GlobalModes &) const = default;
};

// Puts all of these and the thread's other modes back where its life ends.
class ModesGuard {
public:
  ModesGuard();
  ~ModesGuard();
  ModesGuard(const ModesGuard &) = delete;

private:
  GlobalModes modes_;
  at::ScalarType autocastDtype_;
  bool autocastCaches_, warnOnly_;
  int autocastNesting_;
  at::ThreadLocalState thread_;
};

// A mode of somebody else's sits on the dispatch or function stack: nothing may be assumed.
bool foreignModeActive();

// Strided, dense, on the CPU, not a subclass's wrapper: what capture and the executor understand.
bool isOrdinaryTensor(const at::Tensor &tensor);

class TensorPrecheck {
public:
  // `dynamic[d]`: dimension d may have any size of at least two.
  TensorPrecheck(const at::Tensor &tensor, const std::vector<bool> &dynamic);
  bool holds(const at::Tensor &tensor) const;
  // The dimensions whose sizes alone make `tensor` fail, or empty when something else differs too.
  std::vector<bool> dimsToRelax(const at::Tensor &tensor) const;

private:
  bool sameApartFromSizes(const at::Tensor &tensor) const;
  bool sameLayout(const at::Tensor &tensor) const;

  c10::DispatchKeySet keys_;
  at::ScalarType dtype_;
  bool requiresGrad_, leaf_, contiguous_;
  std::vector<int64_t> sizes_;   // -1: dynamic
  std::vector<int64_t> strides_; // compared when the tensor was not contiguous
  std::vector<int64_t> order_;   // dimensions from the innermost out
};

} // namespace bifront
