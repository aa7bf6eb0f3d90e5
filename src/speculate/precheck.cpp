#include "speculate/precheck.h"

#include "frontend/python_error.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <numeric>

namespace bifront {

bool isOrdinaryTensor(const at::Tensor &tensor) {
  return tensor.defined() && tensor.layout() == at::kStrided && tensor.device().is_cpu() &&
         !tensor.is_quantized() && !tensor.is_mkldnn() && !tensor.is_nested() && !tensor.is_neg() &&
         !tensor.is_conj() && !tensor.key_set().has(c10::DispatchKey::Python) &&
         !tensor.unsafeGetTensorImpl()->has_symbolic_sizes_strides();
}

bool hasAttributes(PyObject *tensor) {
  PyRef dict = checked(PyObject_GenericGetDict(tensor, nullptr));
  return PyDict_GET_SIZE(dict.get()) > 0;
}

namespace {

// Code that a backward would run: of the tensor, or where its gradient is accumulated.
bool hasHooks(const at::Tensor &tensor) {
  if (!tensor.requires_grad())
    return false;
  namespace impl = torch::autograd::impl;
  if (!impl::hooks(tensor).empty() || impl::post_acc_grad_hooks(tensor))
    return true;
  if (!tensor.is_leaf())
    return false;
  auto accumulator = impl::try_get_grad_accumulator(tensor);
  return accumulator && (!accumulator->pre_hooks().empty() || !accumulator->post_hooks().empty());
}

} // namespace

TensorPrecheck::TensorPrecheck(const at::Tensor &tensor, std::vector<Size> checks)
    : keys_(tensor.key_set()), dtype_(tensor.scalar_type()), requiresGrad_(tensor.requires_grad()),
      leaf_(tensor.is_leaf()), contiguous_(tensor.is_contiguous()), hooked_(hasHooks(tensor)),
      checks_(std::move(checks)), sizes_(tensor.sizes().vec()), strides_(tensor.strides().vec()),
      order_(tensor.dim()) {
  checks_.resize(sizes_.size(), Size::Same);
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_sort(order_.begin(), order_.end(),
                   [&](int64_t a, int64_t b) { return strides_[a] < strides_[b]; });
}

bool TensorPrecheck::sameApartFromSizes(const at::Tensor &tensor) const {
  return tensor.key_set() == keys_ && tensor.scalar_type() == dtype_ &&
         tensor.requires_grad() == requiresGrad_ && tensor.is_leaf() == leaf_ &&
         hasHooks(tensor) == hooked_ && tensor.dim() == static_cast<int64_t>(sizes_.size());
}

bool TensorPrecheck::sameLayout(const at::Tensor &tensor) const {
  if (contiguous_)
    return tensor.is_contiguous();
  // A dense permutation stays one when a dimension's size changes; anything else must be as it was.
  auto strides = tensor.strides();
  if (std::all_of(checks_.begin(), checks_.end(), [](Size size) { return size == Size::Same; }))
    return strides == at::IntArrayRef(strides_);
  int64_t expected = 1;
  for (int64_t d : order_) {
    if (tensor.size(d) != 1 && strides[d] != expected)
      return false;
    expected *= tensor.size(d);
  }
  return true;
}

bool TensorPrecheck::fits(size_t dimension, int64_t size) const {
  switch (checks_[dimension]) {
  case Size::Same: return size == sizes_[dimension];
  case Size::AtLeastTwo: return size >= 2;
  case Size::Any: break;
  }
  return true;
}

bool TensorPrecheck::holds(const at::Tensor &tensor) const {
  if (!sameApartFromSizes(tensor))
    return false;
  auto sizes = tensor.sizes();
  for (size_t d = 0; d < sizes_.size(); ++d)
    if (!fits(d, sizes[d]))
      return false;
  return sameLayout(tensor);
}

std::optional<std::vector<TensorPrecheck::Difference>>
TensorPrecheck::differsInSizes(const at::Tensor &tensor) const {
  if (!sameApartFromSizes(tensor))
    return std::nullopt;
  std::vector<Difference> differences;
  for (size_t d = 0; d < sizes_.size(); ++d) {
    int64_t now = tensor.size(static_cast<int64_t>(d));
    if (fits(d, now))
      continue;
    bool isSmall = now < 2 || (checks_[d] == Size::Same && sizes_[d] < 2);
    differences.push_back({static_cast<int64_t>(d), isSmall});
  }
  return differences;
}

} // namespace bifront
