// The autograd history of a tensor that is one of several, as the run of the graph goes: by the way
// that a branch takes, by how often a loop runs or a function calls itself. PyTorch's engine goes
// through all of them. Which leaves it comes to in every run is another question: a leaf that it
// does not come to keeps its `.grad`, where a graph would add zeros.
#pragma once

#include "capture/autograd_node.h"

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function.h>

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bifront {

class MergedHistory final : public torch::autograd::Node {
public:
  using Edge = torch::autograd::Edge;

  // The branch or the loop in the program; null where another walk could not take it to go one way.
  struct Origin {
    const void *site;   // null too where that would not tell more of the history
    const void *oneWay; // where it would, as it is no branch and no loop of the graph then
    bool loops;
  };
  explicit MergedHistory(const Origin &origin) : origin(origin) {}

  Origin origin;
  // One of these is the tensor's history; an edge that leads nowhere is none. They may form a
  // cycle: what an iteration begins with is what the last has ended with. Empty: nothing is known.
  std::vector<std::pair<Node *, uint32_t>> ways;
  void setWays(std::span<const Edge> edges);

  // The gradients are zeros: they are never computed, only their shapes count.
  torch::autograd::variable_list apply(torch::autograd::variable_list &&gradients) override;
  std::string name() const override { return "MergedHistory"; }
};

// Calls `visit` for each node of the graph behind `roots`, which says whether to go on behind it.
void visitHistory(std::span<const torch::autograd::Edge> roots,
                  const std::function<bool(torch::autograd::Node &)> &visit);

// The history of a tensor; none where it does not require grad.
torch::autograd::Edge historyOf(const at::Tensor &tensor);

// Makes a history for `tensor`, which has none: one of `ways`. The engine goes on along all of
// `edges`.
NodePointer mergeHistory(const at::Tensor &tensor, const MergedHistory::Origin &origin,
                         std::vector<torch::autograd::Edge> edges,
                         std::span<const torch::autograd::Edge> ways);

// Whether all runs come from the roots to all of the targets that one of them comes to.
struct Certainty {
  const MergedHistory *unsure = nullptr; // what another walk can take to go one way, to know more
  std::vector<size_t> asserted;          // the numbers of other targets that a run may not come to
};
Certainty certaintyOf(std::span<const torch::autograd::Edge> roots,
                      std::span<const torch::autograd::Edge> targets);

// What decides whether a tensor requires grad; null: nothing does.
const MergedHistory *findUnsure(const at::Tensor &tensor);

} // namespace bifront
