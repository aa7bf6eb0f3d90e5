// Tensors from outside that a captured function touches. Capture runs no kernel, but autograd and
// Python still change what hangs on a tensor: its version, `.grad`, its place in autograd's graph.
// All of that is noted before and put back behind the capture.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/variable.h>

#include <unordered_map>
#include <vector>

namespace bifront {

class OutsideTensors {
public:
  struct Snapshot {
    at::Tensor tensor;
    at::Tensor grad; // undefined where there was none
    bool hadAutogradMeta = false;
    bool requiresGrad = false;
    decltype(torch::autograd::AutogradMeta::grad_fn_) gradFn;
    uint32_t outputNumber = 0;
    uint32_t version = 0;
    bool asked = false; // for its size, its dtype, ...
    bool gradLookedAt = false;
    bool gradDroppedFirst = false; // set to None before the program computed anything
  };

  // Notes `tensor` as it is now, the first time. Call before anything can have changed it.
  Snapshot &note(const at::Tensor &tensor);
  // The noted tensor whose `.grad` was `grad`, or null.
  Snapshot *ownerOfGrad(const at::Tensor &grad);
  // Tensors in the order in which they were met.
  std::vector<Snapshot> &all() { return snapshots_; }
  void restore();

private:
  std::vector<Snapshot> snapshots_;
  std::unordered_map<const c10::TensorImpl *, size_t> byTensor_, byGrad_;
};

} // namespace bifront
