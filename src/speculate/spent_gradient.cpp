#include "speculate/spent_gradient.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

namespace bifront {
namespace {

struct SpentBackward : torch::autograd::Node {
  std::string name() const override { return "BifrontSpentBackward"; }
  torch::autograd::variable_list apply(torch::autograd::variable_list &&) override {
    TORCH_CHECK(
        false,
        "Trying to backward through the graph a second time (or directly access saved "
        "tensors after they have already been freed). Saved intermediate values of the graph "
        "are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if "
        "you need to backward through the graph a second time or if you need to access saved "
        "tensors after calling backward.");
  }
};

} // namespace

void markSpent(const at::Tensor &tensor) {
  auto node = c10::make_intrusive<SpentBackward>();
  node->add_input_metadata(tensor);
  torch::autograd::impl::set_gradient_edge(tensor, {std::move(node), 0});
}

} // namespace bifront
