#include "capture/outside_tensors.h"

namespace bifront {

OutsideTensors::Snapshot &OutsideTensors::note(const at::Tensor &tensor) {
  c10::TensorImpl *impl = tensor.unsafeGetTensorImpl();
  auto [found, fresh] = byTensor_.try_emplace(impl, snapshots_.size());
  if (!fresh)
    return snapshots_[found->second];
  size_t index = snapshots_.size();
  Snapshot &snapshot = snapshots_.emplace_back();
  snapshot.tensor = tensor;
  if (!tensor.is_inference())
    snapshot.version = impl->version_counter().current_version();
  at::Tensor base;
  if (auto *meta = torch::autograd::impl::get_autograd_meta(tensor)) {
    snapshot.hadAutogradMeta = true;
    snapshot.grad = meta->grad_;
    snapshot.requiresGrad = meta->requires_grad_;
    snapshot.gradFn = meta->grad_fn_;
    snapshot.outputNumber = meta->output_nr_;
    if (snapshot.grad.defined())
      byGrad_.emplace(snapshot.grad.unsafeGetTensorImpl(), index);
    if (tensor.is_view())
      base = tensor._base(); // a write through the view changes the base's history
  }
  if (base.defined())
    note(base);
  return snapshots_[index];
}

OutsideTensors::Snapshot *OutsideTensors::ownerOfGrad(const at::Tensor &grad) {
  auto found = byGrad_.find(grad.unsafeGetTensorImpl());
  return found == byGrad_.end() ? nullptr : &snapshots_[found->second];
}

void OutsideTensors::restore() {
  for (Snapshot &snapshot : snapshots_) {
    c10::TensorImpl *impl = snapshot.tensor.unsafeGetTensorImpl();
    if (!snapshot.tensor.is_inference())
      c10::VariableVersion(impl->version_counter())
          .set_version(snapshot.version); // a shared counter
    auto *meta = torch::autograd::impl::get_autograd_meta(snapshot.tensor);
    if (!meta)
      continue;
    if (!snapshot.hadAutogradMeta) {
      impl->set_autograd_meta(nullptr);
      continue;
    }
    meta->grad_ = snapshot.grad;
    meta->requires_grad_ = snapshot.requiresGrad;
    meta->grad_fn_ = snapshot.gradFn;
    meta->output_nr_ = snapshot.outputNumber;
    auto *view = torch::autograd::impl::get_view_autograd_meta(snapshot.tensor);
    if (view && view->has_bw_view())
      view->set_attr_version(snapshot.version);
  }
  snapshots_.clear();
  byTensor_.clear();
  byGrad_.clear();
}

} // namespace bifront
