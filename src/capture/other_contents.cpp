#include "capture/other_contents.h"

#include "runtime/operator_named.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace bifront {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor otherContents(const at::Tensor & /*tensor*/, const at::Tensor &contents) {
  return contents.clone();
}

at::Tensor callOtherContents(const at::Tensor &tensor, const at::Tensor &contents) {
  static auto op =
      operatorNamed<at::Tensor(const at::Tensor &, const at::Tensor &)>("bifront::other_contents");
  return op.call(tensor, contents);
}

struct OtherContents : torch::autograd::Function<OtherContents> {
  static at::Tensor forward(AutogradContext * /*context*/, const at::Tensor &tensor,
                            const at::Tensor &contents, bool records) {
    at::AutoDispatchBelowADInplaceOrView below;
    at::AutoGradMode mode(records); // as a capture is to see it: here it is off
    return callOtherContents(tensor, contents);
  }

  static variable_list backward(AutogradContext * /*context*/, const variable_list &gradients) {
    return {gradients[0], at::Tensor(), at::Tensor()};
  }
};

at::Tensor otherContentsWithHistory(const at::Tensor &tensor, const at::Tensor &contents) {
  return OtherContents::apply(tensor, contents, at::GradMode::is_enabled());
}

} // namespace

void defineOtherContents() {
  using torch::Library;
  static Library definition(Library::FRAGMENT, "bifront", std::nullopt, __FILE__, __LINE__);
  static Library kernel(Library::IMPL, "bifront", c10::DispatchKey::CompositeExplicitAutograd,
                        __FILE__, __LINE__);
  static Library autograd(Library::IMPL, "bifront", c10::DispatchKey::Autograd, __FILE__, __LINE__);
  [[maybe_unused]] static const bool defined = [] {
    definition.def("other_contents(Tensor tensor, Tensor contents) -> Tensor");
    kernel.impl("other_contents", otherContents);
    autograd.impl("other_contents", otherContentsWithHistory);
    return true;
  }();
}

} // namespace bifront
