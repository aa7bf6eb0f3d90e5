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

void visitHistory(std::span<const Edge> roots, const std::function<bool(Node &)> &visit) {
  std::vector<Node *> open;
  std::unordered_set<Node *> seen;
  auto enter = [&](std::span<const Edge> edges) {
    for (const Edge &edge : edges)
      if (edge.function && seen.insert(edge.function.get()).second)
        open.push_back(edge.function.get());
  };
  enter(roots);
  while (!open.empty()) {
    Node *node = open.back();
    open.pop_back();
    if (visit(*node))
      enter(node->next_edges());
  }
}

namespace {

// The nodes that the engine may come to, those that others depend on first, and of each the set of
// targets behind it.
class TargetsBehind {
public:
  using Bits = std::vector<bool>;
  using Target = std::pair<Node *, uint32_t>; // with the number of the node's output

  // Without targets there is one for all: any leaf.
  TargetsBehind(std::span<const Edge> roots, std::vector<Target> targets)
      : roots_(roots), targets_(std::move(targets)), anyLeaf_(targets_.empty()),
        size_(anyLeaf_ ? 1 : targets_.size()) {
    for (const Edge &root : roots)
      visit(root.function.get());
  }

  Certainty certainty() {
    if (!isMerged_)
      return {};
    Sets reached;
    if (const MergedHistory *unsure = unsureSite(reached))
      return {unsure, {}};
    Bits mayBe = along(roots_, reached);
    solve(true, [&](Node &node) { return certainBehind(node); });
    Bits certain = along(roots_, sets_);
    Certainty found;
    for (size_t target = 0; target < size_; ++target)
      if (mayBe[target] && !certain[target])
        found.asserted.push_back(target);
    return found;
  }

  // Whatever it is.
  const MergedHistory *unsure() {
    if (!isMerged_)
      return nullptr;
    Sets reached;
    if (const MergedHistory *unsure = unsureSite(reached))
      return unsure;
    solve(true, [&](Node &node) { return certainBehind(node); });
    return firstUnsure([](const MergedHistory &) { return true; }, sets_);
  }

private:
  using Sets = std::unordered_map<Node *, Bits>;

  // What another walk can take to go one way; null: all else the run has to assert. `reached`:
  // behind each node in some run.
  const MergedHistory *unsureSite(Sets &reached) {
    solve(false, [&](Node &node) { return anyOf(node); });
    reached = sets_;
    // What the run is to assert counts as certain until all else is.
    solve(true, [&](Node &node) {
      auto *merged = dynamic_cast<MergedHistory *>(&node);
      return merged && !merged->origin.site ? reached.at(&node) : certainBehind(node);
    });
    // A branch in a loop may only be unsure because the loop is.
    if (auto *loop = firstUnsure(
            [](const MergedHistory &at) { return at.origin.site && at.origin.loops; }, reached))
      return loop;
    return firstUnsure([](const MergedHistory &at) { return at.origin.site; }, sets_);
  }

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

  // Finds the sets that agree with each other: the greatest, or the least.
  template <typename Rule> void solve(bool greatest, Rule rule) {
    sets_.clear();
    for (Node *node : order_)
      sets_.emplace(node, Bits(size_, greatest));
    for (bool changed = true; changed;) {
      changed = false;
      for (Node *node : order_) {
        Bits now = rule(*node);
        changed = changed || now != sets_[node];
        sets_[node] = std::move(now);
      }
    }
  }

  // `behindWays`: what counts as reached by one of its ways.
  template <typename Among>
  const MergedHistory *firstUnsure(Among among, const Sets &behindWays) const {
    Bits certain = along(roots_, sets_);
    for (Node *node : order_) {
      auto *merged = dynamic_cast<MergedHistory *>(node);
      if (!merged || !among(*merged))
        continue;
      for (size_t target = 0; target < size_; ++target)
        if (!certain[target] && !sets_.at(node)[target] &&
            someWayReaches(*merged, target, behindWays))
          return merged;
    }
    return nullptr;
  }

  bool someWayReaches(const MergedHistory &merged, size_t target, const Sets &sets) const {
    if (merged.ways.empty())
      return !merged.next_edges().empty();
    return std::any_of(merged.ways.begin(), merged.ways.end(), [&](const Target &way) {
      return way.first && behind(way.first, way.second, sets)[target];
    });
  }

  // Those along the edge into `node`.
  Bits behind(Node *node, uint32_t output, const Sets &sets) const {
    Bits bits = sets.at(node);
    for (size_t target = 0; !anyLeaf_ && target < size_; ++target)
      if (targets_[target] == Target(node, output))
        bits[target] = true;
    return bits;
  }

  static void add(Bits &sum, const Bits &bits) {
    for (size_t target = 0; target < sum.size(); ++target)
      sum[target] = sum[target] || bits[target];
  }

  Bits along(std::span<const Edge> edges, const Sets &sets) const {
    Bits any(size_, false);
    for (const Edge &edge : edges)
      if (edge.is_valid())
        add(any, behind(edge.function.get(), edge.input_nr, sets));
    return any;
  }

  Bits anyOf(const Node &node) const {
    if (anyLeaf_ && dynamic_cast<const AccumulateGrad *>(&node))
      return {true};
    Bits any = along(node.next_edges(), sets_);
    if (auto *merged = dynamic_cast<const MergedHistory *>(&node))
      for (const auto &[way, output] : merged->ways)
        if (way)
          add(any, behind(way, output, sets_));
    return any;
  }

  Bits certainBehind(const Node &node) const {
    auto *merged = dynamic_cast<const MergedHistory *>(&node);
    if (!merged)
      return anyOf(node);
    Bits all(size_, !merged->ways.empty());
    for (const auto &[way, output] : merged->ways) {
      Bits bits = way ? behind(way, output, sets_) : Bits(size_, false);
      for (size_t target = 0; target < size_; ++target)
        all[target] = all[target] && bits[target];
    }
    return all;
  }

  std::span<const Edge> roots_;
  std::vector<Target> targets_;
  bool anyLeaf_;
  size_t size_;
  bool isMerged_ = false;
  std::vector<Node *> order_;
  std::unordered_set<Node *> seen_;
  Sets sets_; // of the solution that is being found, or was found last
};

} // namespace

NodePointer mergeHistory(const at::Tensor &tensor, const MergedHistory::Origin &origin,
                         std::vector<Edge> edges, std::span<const Edge> ways) {
  NodePointer history = makeNode<MergedHistory>(origin);
  static_cast<MergedHistory &>(*history).setWays(ways);
  history->set_next_edges(std::move(edges));
  uint32_t number = history->add_input_metadata(tensor);
  impl::set_gradient_edge(tensor, {history, number});
  return history;
}

Certainty certaintyOf(std::span<const Edge> roots, std::span<const Edge> targets) {
  if (targets.empty())
    return {};
  std::vector<TargetsBehind::Target> nodes;
  for (const Edge &target : targets)
    nodes.emplace_back(target.function.get(), target.input_nr);
  return TargetsBehind(roots, std::move(nodes)).certainty();
}

const MergedHistory *findUnsure(const at::Tensor &tensor) {
  if (!tensor.requires_grad())
    return nullptr;
  Edge root = impl::gradient_edge(tensor);
  return TargetsBehind({&root, 1}, {}).unsure();
}

} // namespace bifront
