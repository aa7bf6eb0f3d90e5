#include "runtime/sized_tensor.h"

#include "runtime/operator_named.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace bifront {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor sized(const at::Tensor &tensor, at::IntArrayRef sizes) {
  TORCH_CHECK(tensor.sizes() == sizes, "a tensor of the graph has the sizes ", tensor.sizes(),
              ", not ", sizes);
  return tensor;
}

at::Tensor sizedOnMeta(const at::Tensor &tensor, at::IntArrayRef sizes) {
  return at::empty(sizes, tensor.options());
}

struct Sized : torch::autograd::Function<Sized> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &tensor,
                            c10::SymIntArrayRef sizes, bool records) {
    context->saved_data["sizes"] = tensor.sym_sizes().vec();
    at::AutoDispatchBelowADInplaceOrView below;
    at::AutoGradMode mode(records); // as a capture is to see it: here it is off
    return sizedTensor(tensor, sizes);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    return {sizedTensor(gradients[0], context->saved_data["sizes"].toSymIntVector()), at::Tensor(),
            at::Tensor()};
  }
};

at::Tensor sizedWithHistory(const at::Tensor &tensor, c10::SymIntArrayRef sizes) {
  return Sized::apply(tensor, sizes, at::GradMode::is_enabled());
}

} // namespace

at::Tensor sizedTensor(const at::Tensor &tensor, c10::SymIntArrayRef sizes) {
  static auto op =
      operatorNamed<at::Tensor(const at::Tensor &, c10::SymIntArrayRef)>("bifront::sized");
  return op.call(tensor, sizes);
}

TORCH_LIBRARY_FRAGMENT(bifront, library) {
  library.def("sized(Tensor tensor, SymInt[] sizes) -> Tensor");
}

TORCH_LIBRARY_IMPL(bifront, CompositeExplicitAutograd, library) { library.impl("sized", sized); }

TORCH_LIBRARY_IMPL(bifront, Meta, library) { library.impl("sized", sizedOnMeta); }

TORCH_LIBRARY_IMPL(bifront, Autograd, library) { library.impl("sized", sizedWithHistory); }

} // namespace bifront
