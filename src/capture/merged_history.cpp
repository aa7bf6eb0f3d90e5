#include "capture/merged_history.h"

#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/variable.h>

#include <unordered_map>
#include <unordered_set>

namespace bifront {

using namespace torch::autograd;

variable_list MergedHistory::apply(variable_list &&) {
  variable_list zeros;
  for (const Edge &edge : next_edges())
    zeros.push_back(edge.is_valid() ? edge.function->input_metadata(edge.input_nr).zeros_like()
                                    : at::Tensor());
  return zeros;
}

void MergedHistory::setWays(std::span<const Edge> edges) {
  ways.clear();
  for (const Edge &edge : edges)
    ways.emplace_back(edge.function.get(), edge.input_nr);
}

Edge historyOf(const at::Tensor &tensor) {
  return tensor.requires_grad() ? impl::gradient_edge(tensor) : Edge();
}

namespace {

// The nodes that the engine may come to, those that others depend on first, and of each the set of
// targets that it certainly comes to behind it.
class SureTargets {
public:
  using Bits = std::vector<bool>;

  // Targets by the node, with the number of its output.
  SureTargets(std::span<const Edge> roots, std::vector<std::pair<Node *, uint32_t>> targets,
              bool anyLeaf)
      : targets_(std::move(targets)), anyLeaf_(anyLeaf), size_(anyLeaf ? 1 : targets_.size()) {
    for (const Edge &root : roots)
      visit(root.function.get());
    if (!isMerged_)
      return;
    roots_ = roots;
    // The greatest sets that agree with each other.
    for (Node *node : order_)
      sure_.emplace(node, Bits(size_, true));
    for (bool changed = true; changed;) {
      changed = false;
      for (Node *node : order_) {
        Bits now = bitsOf(*node);
        changed = changed || now != sure_[node];
        sure_[node] = std::move(now);
      }
    }
  }

  const MergedHistory *unsure() const {
    if (!isMerged_)
      return nullptr;
    Bits certain = any(roots_);
    for (Node *node : order_) {
      auto *merged = dynamic_cast<MergedHistory *>(node);
      for (size_t target = 0; merged && target < size_; ++target)
        for (const auto &[way, output] : merged->ways)
          if (way && !certain[target] && !sure_.at(node)[target] && reaches(way, output)[target])
            return merged;
    }
    return nullptr;
  }

private:
  void visit(Node *root) {
    std::vector<std::pair<Node *, size_t>> path;
    auto enter = [&](Node *node) {
      if (node && seen_.insert(node).second)
        path.emplace_back(node, 0);
    };
    enter(root);
    while (!path.empty()) {
      auto &[node, next] = path.back();
      auto *merged = dynamic_cast<MergedHistory *>(node);
      isMerged_ = isMerged_ || merged;
      size_t waysOf = merged ? merged->ways.size() : 0;
      if (next < waysOf) {
        enter(merged->ways[next++].first);
      } else if (next < waysOf + node->num_outputs()) {
        enter(node->next_edge(next++ - waysOf).function.get());
      } else {
        order_.push_back(node);
        path.pop_back();
      }
    }
  }

  // What is certain along the edge into `node`.
  Bits reaches(Node *node, uint32_t output) const {
    Bits bits = sure_.at(node);
    for (size_t target = 0; !anyLeaf_ && target < size_; ++target)
      if (targets_[target] == std::pair(node, output))
        bits[target] = true;
    return bits;
  }

  Bits bitsOf(Node &node) const {
    if (auto *merged = dynamic_cast<MergedHistory *>(&node)) {
      Bits all(size_, true);
      for (const auto &[way, output] : merged->ways) {
        Bits bits = way ? reaches(way, output) : Bits(size_, false);
        for (size_t target = 0; target < size_; ++target)
          all[target] = all[target] && bits[target];
      }
      return all;
    }
    if (anyLeaf_ && dynamic_cast<AccumulateGrad *>(&node))
      return {true};
    return any(node.next_edges());
  }

  Bits any(std::span<const Edge> edges) const {
    Bits any(size_, false);
    for (const Edge &edge : edges) {
      if (!edge.is_valid())
        continue;
      Bits bits = reaches(edge.function.get(), edge.input_nr);
      for (size_t target = 0; target < size_; ++target)
        any[target] = any[target] || bits[target];
    }
    return any;
  }

  std::vector<std::pair<Node *, uint32_t>> targets_;
  bool anyLeaf_;
  size_t size_;
  bool isMerged_ = false;
  std::span<const Edge> roots_;
  std::vector<Node *> order_;
  std::unordered_set<Node *> seen_;
  std::unordered_map<Node *, Bits> sure_;
};

} // namespace

NodePointer mergeHistory(const at::Tensor &tensor, const void *site, bool loops,
                         std::vector<Edge> edges, std::span<const Edge> ways) {
  NodePointer history = makeNode<MergedHistory>(site, loops);
  static_cast<MergedHistory &>(*history).setWays(ways);
  history->set_next_edges(std::move(edges));
  uint32_t number = history->add_input_metadata(tensor);
  impl::set_gradient_edge(tensor, {history, number});
  return history;
}

const MergedHistory *findUnsure(std::span<const Edge> roots, std::span<const Edge> targets) {
  std::vector<std::pair<Node *, uint32_t>> nodes;
  for (const Edge &target : targets)
    nodes.emplace_back(target.function.get(), target.input_nr);
  return SureTargets(roots, std::move(nodes), false).unsure();
}

const MergedHistory *findUnsure(const at::Tensor &tensor) {
  if (!tensor.requires_grad())
    return nullptr;
  Edge root = impl::gradient_edge(tensor);
  return SureTargets({&root, 1}, {}, true).unsure();
}

} // namespace bifront
