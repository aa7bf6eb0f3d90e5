#include "capture/backward.h"

#include "capture/asserted_history.h"
#include "capture/merged_history.h"
#include "capture/proxy.h"
#include "capture/python_in_backward.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/utils/grad_layout_contract.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace bifront {
namespace {

using namespace torch::autograd;

class CapturedBackward {
public:
  CapturedBackward(Capture &capture, const BackwardCall &call) : capture_(capture), call_(call) {}

  variable_list run() {
    findRoots();
    inspectGraph();
    findTargets();
    bool callsPython = !pythonNodes_.empty() || capture_.savesWithHooks();
    if (targets_.empty() && !callsPython)
      return {};
    if (call_.createGraph)
      capture_.requireOneWay(merged_, "gradients through it are differentiated again");
    requireSure();
    if (!callsPython)
      return runOnGraph();
    refusePython();
    return runRecorded();
  }

private:
  variable_list runOnGraph() {
    variable_list gradients = [&] {
      Recording::DryRun dry(capture_.recording());
      return runEngine(edges_, /*accumulate=*/false);
    }();
    if (!call_.retainGraph)
      noteSpent();
    variable_list recorded = record(gradients);
    if (call_.accumulate) {
      for (size_t i = 0; i < targets_.size(); ++i)
        if (recorded[i].defined())
          accumulate(targets_[i], recorded[i]);
      return {};
    }
    return recorded;
  }

  void findRoots() {
    for (size_t i = 0; i < call_.outputs.size(); ++i) {
      Edge root = impl::gradient_edge(call_.outputs[i]);
      TORCH_CHECK(root.function, "element ", i,
                  " of tensors does not require grad and does not have a grad_fn");
      roots_.push_back(std::move(root));
    }
  }

  // Finds the leaves, and where Python code runs.
  void inspectGraph() {
    std::unordered_set<Node *> targets;
    for (const Variable &input : call_.inputs)
      targets.insert(input.grad_fn().get());
    visitHistory(roots_, [&](Node &node) {
      if (capture_.hasOutsideHistory(&node) && targets.contains(&node))
        return false; // the engine goes no further
      inspect(node);
      return true;
    });
  }

  void inspect(Node &node) {
    if (capture_.hasOutsideHistory(&node))
      capture_.fail("backward reaches ops that ran before the captured function");
    if (auto *merged = dynamic_cast<MergedHistory *>(&node))
      merged_.push_back(merged);
    if (runsPython(node))
      pythonNodes_.push_back(&node);
    // One that has been frozen since accumulates nothing.
    if (auto *leaf = dynamic_cast<AccumulateGrad *>(&node); leaf && leaf->variable.requires_grad())
      leaves_.push_back(leaf->variable);
  }

  void findTargets() {
    if (call_.inputs.empty()) {
      // In the order in which the inputs were met, so that graphs come out the same.
      targets_ = leaves_;
      for (const Variable &leaf : targets_)
        edges_.push_back(impl::gradient_edge(leaf));
      return;
    }
    for (const Variable &input : call_.inputs) {
      TORCH_CHECK(input.requires_grad(), "One of the differentiated Tensors does not require grad");
      auto function = input.grad_fn();
      if (!function)
        function = impl::try_get_grad_accumulator(input);
      if (function)
        edges_.emplace_back(std::move(function), input.output_nr());
      else // nothing was computed from it: a node that the engine never comes to
        edges_.emplace_back(makeNode<Identity>(), 0);
      targets_.push_back(input);
    }
  }

  // The graph has one set of gradients for all runs.
  void requireSure() {
    if (!capture_.recording().mergesHistories())
      return;
    for (const at::Tensor &output : call_.outputs)
      requireSureHistory(capture_, output, "whether a tensor requires grad depends on it");
    // What has a gradient already keeps its value where zeros are added.
    edge_list edges;
    variable_list without;
    for (size_t i = 0; i < targets_.size(); ++i)
      if (!call_.accumulate || !targets_[i].grad().defined()) {
        edges.push_back(edges_[i]);
        without.push_back(targets_[i]);
      }
    Certainty certainty = certaintyOf(roots_, edges);
    capture_.requireSure(certainty.unsure, "which tensors have gradients depends on it");
    variable_list asserted;
    for (size_t number : certainty.asserted)
      asserted.push_back(without[number]);
    assertReached(capture_, call_.outputs, asserted);
  }

  variable_list runEngine(const edge_list &edges, bool accumulate) {
    std::optional<pybind11::gil_scoped_release> withoutGil;
    if (PyGILState_Check())
      withoutGil.emplace();
    return Engine::get_default_engine().execute(roots_, call_.seeds, call_.retainGraph,
                                                call_.createGraph, accumulate, edges);
  }

  void refusePython() {
    if (!capture_.recording().walkedHooks)
      capture_.fail("backward runs a hook or a torch.autograd.Function");
    if (call_.ofResults)
      capture_.fail("the backward of what is returned runs a hook or a torch.autograd.Function");
    capture_.requireOneWay(merged_, "backward runs a hook or a torch.autograd.Function");
  }

  // The engine calls the Python code and accumulates; everything is recorded as it computes it.
  variable_list runRecorded() {
    for (const Variable &target : targets_)
      if (call_.accumulate)
        capture_.noteGradRead(target);
    if (call_.accumulate)
      for (const Variable &input : call_.inputs)
        input.retain_grad();
    edge_list edges = call_.inputs.empty() ? edge_list() : edges_;
    WalkedHooks hooks(capture_.recording());
    for (Node *node : pythonNodes_)
      hooks.add(*node);
    variable_list gradients = runEngine(edges, call_.accumulate);
    if (!call_.retainGraph)
      noteSpent();
    if (call_.accumulate)
      return {};
    for (const at::Tensor &gradient : gradients)
      requireUsed(gradient);
    return gradients;
  }

  void requireUsed(const at::Tensor &gradient) const {
    TORCH_CHECK(gradient.defined() || call_.allowUnused || call_.accumulate,
                "One of the differentiated Tensors appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior.");
  }

  // Remembers which nodes the engine ran: those on the way to a target.
  void noteSpent() {
    std::unordered_map<Node *, bool> reaches;
    std::vector<std::pair<decltype(Edge::function), size_t>> path; // with the next edge to follow
    for (const Edge &target : edges_)
      reaches[target.function.get()] = true;
    auto enter = [&](const Edge &edge) {
      if (edge.function && !visited_.contains(edge.function.get())) {
        visited_.insert(edge.function.get());
        path.emplace_back(edge.function, 0);
      }
    };
    for (const Edge &root : roots_) {
      enter(root);
      while (!path.empty()) {
        auto &[node, next] = path.back();
        if (next < node->num_outputs()) {
          enter(node->next_edge(next++));
          continue;
        }
        bool onTheWay = false;
        for (const Edge &edge : node->next_edges())
          onTheWay = onTheWay || (edge.function && reaches[edge.function.get()]);
        if (onTheWay) {
          reaches[node.get()] = true;
          capture_.noteSpent(node);
        }
        path.pop_back();
      }
    }
  }

  variable_list record(const variable_list &gradients) {
    std::vector<ValueId> outputs, seeds, wrt;
    std::vector<size_t> places;
    for (size_t i = 0; i < targets_.size(); ++i) {
      requireUsed(gradients[i]);
      if (gradients[i].defined()) {
        wrt.push_back(capture_.valueOf(targets_[i]));
        const Recording &recording = capture_.recording();
        if (!call_.inputs.empty() && recording.hasLists() && recording.isMerged(wrt.back()))
          capture_.fail("a gradient is taken of what may be an item of a list that grows");
        places.push_back(i);
      }
    }
    variable_list recorded(targets_.size());
    if (places.empty())
      return recorded;
    for (size_t i = 0; i < call_.outputs.size(); ++i) {
      outputs.push_back(capture_.valueOf(call_.outputs[i]));
      seeds.push_back(capture_.valueOf(call_.seeds[i]));
    }
    std::vector<ValueId> values =
        capture_.recording().graph().grad(outputs, seeds, wrt, call_.createGraph);
    for (size_t k = 0; k < places.size(); ++k)
      recorded[places[k]] = wrap(gradients[places[k]], values[k]);
    if (!call_.accumulate)
      restoreIdentity(gradients, recorded);
    return recorded;
  }

  // What autograd returned as it came in, or twice, is one tensor for the program too.
  void restoreIdentity(const variable_list &gradients, variable_list &recorded) const {
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined())
        continue;
      for (const at::Tensor &seed : call_.seeds)
        if (seed.defined() && seed.is_same(gradients[i]))
          recorded[i] = seed;
      for (size_t j = 0; j < i; ++j)
        if (gradients[j].defined() && gradients[j].is_same(gradients[i]))
          recorded[i] = recorded[j];
    }
  }

  // A gradient of its own: autograd may have returned one tensor twice, or a parameter.
  at::Tensor wrap(const at::Tensor &gradient, ValueId value) {
    ProxyImpl *inferred = ProxyImpl::of(gradient);
    ProxyImpl::Shape shape = inferred
                                 ? inferred->shape()
                                 : ProxyImpl::Shape::fixed(Extent::of(gradient), gradient.device());
    at::Tensor wrapped =
        ProxyImpl::make(capture_.recording().shared_from_this(), value, std::move(shape));
    if (call_.createGraph && gradient.requires_grad())
      impl::set_gradient_edge(wrapped, impl::gradient_edge(gradient));
    return wrapped;
  }

  // As AccumulateGrad does: a new `.grad` has its tensor's layout where that is dense.
  void accumulate(const at::Tensor &variable, const at::Tensor &gradient) {
    capture_.noteGradRead(variable);
    at::AutoGradMode gradMode(call_.createGraph);
    at::Tensor &existing = variable.mutable_grad();
    if (!existing.defined())
      existing = utils::obeys_layout_contract(gradient, variable)
                     ? gradient
                     : utils::clone_obey_contract(gradient, variable);
    else if (call_.createGraph)
      existing = existing + gradient;
    else
      existing.add_(gradient);
  }

  Capture &capture_;
  const BackwardCall &call_;
  edge_list roots_, edges_;
  variable_list leaves_, targets_;
  std::vector<Node *> pythonNodes_;
  std::vector<const MergedHistory *> merged_;
  std::unordered_set<Node *> visited_;
};

// Where gradients of results leave the graph: leaves, and tensors with a history from outside; and
// which of the results they come from.
struct Source {
  at::Tensor tensor;
  std::vector<uint32_t> results;
};

std::vector<Source> sourcesOf(const Capture &capture, const variable_list &results) {
  std::vector<Source> sources;
  auto note = [&](const at::Tensor &tensor, uint32_t result) {
    auto known = std::find_if(sources.begin(), sources.end(),
                              [&](const Source &source) { return source.tensor.is_same(tensor); });
    if (known == sources.end())
      known = sources.insert(sources.end(), {tensor, {}});
    known->results.push_back(result);
  };
  for (uint32_t result = 0; result < results.size(); ++result) {
    Edge root = impl::gradient_edge(results[result]);
    visitHistory({&root, 1}, [&](Node &node) {
      if (auto *leaf = dynamic_cast<AccumulateGrad *>(&node))
        note(leaf->variable, result);
      for (const auto &[tensor, history] : capture.outsideHistories())
        if (history.get() == &node)
          note(tensor, result);
      return !capture.hasOutsideHistory(&node);
    });
  }
  return sources;
}

} // namespace

ResultGradients captureResultGradients(Capture &capture, const variable_list &results) {
  ResultGradients found;
  BackwardCall call;
  call.outputs = results;
  call.retainGraph = call.allowUnused = call.ofResults = true;
  std::vector<Source> sources = sourcesOf(capture, results);
  for (const Source &source : sources) {
    call.inputs.push_back(source.tensor);
    capture.valueOf(source.tensor); // an input, ahead of the seeds
    if (!capture.inputOf(source.tensor))
      capture.fail("a tensor that is trained is not the one that came in any more");
  }
  for (const at::Tensor &result : results)
    call.seeds.push_back(capture.addSeed(result));
  variable_list gradients = captureBackward(capture, call);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined())
      continue;
    found.inputs.push_back(*capture.inputOf(call.inputs[i]));
    found.gradients.push_back(capture.valueOf(gradients[i]));
    found.from.push_back(std::move(sources[i].results));
  }
  return found;
}

variable_list captureBackward(Capture &capture, const BackwardCall &call) {
  capture.recording().refuseInScope("backward runs");
  return CapturedBackward(capture, call).run();
}

} // namespace bifront
