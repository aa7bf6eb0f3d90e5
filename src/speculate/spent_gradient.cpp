#include "speculate/spent_gradient.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <array>

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
  bool isAsNew() {
    return tensor_pre_hooks().empty() && pre_hooks().empty() && post_hooks().empty() &&
           retains_grad_hooks().empty();
  }
};

// The last nodes of this thread: a step's loss is mostly gone when the next but one is made.
constexpr size_t kRecent = 4;
using Recent = std::array<c10::intrusive_ptr<SpentBackward>, kRecent>;

c10::intrusive_ptr<SpentBackward> freeNode() {
  thread_local Recent recent;
  thread_local size_t oldest = 0;
  for (c10::intrusive_ptr<SpentBackward> &node : recent) {
    if (!node || node.use_count() != 1 || !node->isAsNew())
      continue;
    node->clear_input_metadata();
    return node;
  }
  auto made = c10::make_intrusive<SpentBackward>();
  recent[oldest++ % kRecent] = made;
  return made;
}

} // namespace

void markSpent(const at::Tensor &tensor) {
  auto node = freeNode();
  node->add_input_metadata(tensor);
  torch::autograd::impl::set_gradient_edge(tensor, {std::move(node), 0});
}

} // namespace bifront
