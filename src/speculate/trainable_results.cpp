#include "speculate/trainable_results.h"

#include "capture/autograd_node.h"
#include "runtime/tape.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <variant>

namespace bifront {
namespace {

using namespace torch::autograd;

// What a gradient of a converted function's result has for a history, where somebody wants one.
struct OnceDifferentiable final : Node {
  variable_list apply(variable_list &&) override {
    TORCH_CHECK(false, "a gradient that came through a function converted by Bifront is "
                       "differentiated again; take that gradient inside of the function, or leave "
                       "the function unconverted");
  }
  std::string name() const override { return "BifrontOnceDifferentiable"; }
};

at::Tensor onceDifferentiable(const at::Tensor &gradient) {
  at::Tensor result = gradient.detach();
  NodePointer node = makeNode<OnceDifferentiable>();
  node->add_input_metadata(result);
  impl::set_gradient_edge(result, {std::move(node), 0});
  return result;
}

// What is left of a saved tensor when everything that reads its contents has been gone through.
struct Emptied {
  explicit Emptied(const at::Tensor &tensor)
      : sizes(tensor.sizes()), strides(tensor.strides()), options(tensor.options()) {}
  at::Tensor filled() const { return at::empty_strided(sizes, strides, options).zero_(); }

  at::DimVector sizes, strides;
  at::TensorOptions options;
};

struct SavedTape {
  at::Tensor tape;
};

class ConvertedBackward final : public Node {
public:
  ConvertedBackward(std::shared_ptr<const TrainableResults> trainable, size_t numSaved)
      : trainable_(std::move(trainable)), spent_(trainable_->meets.size()) {
    saved_.reserve(numSaved);
  }

  void saveTape(const at::Tensor &tape) { saved_.emplace_back(SavedTape{tape}); }
  // Whoever writes there must not have what lies on a tape in mind.
  void watch(const at::Tensor &tensor) { watched_.emplace_back(tensor.detach(), false); }
  void save(const c10::IValue &value, bool isOutput) {
    if (value.isTensor())
      saved_.emplace_back(SavedVariable(value.toTensor(), isOutput));
    else
      saved_.emplace_back(value);
  }
  // The results' strides are what the graph takes the seeds to have.
  void addResult(const at::Tensor &result) {
    layouts_.push_back(result.strides().vec());
    uint32_t number = add_input_metadata(result);
    impl::set_gradient_edge(result, {getptr(), number});
  }

  variable_list apply(variable_list &&seeds) override {
    std::vector<c10::IValue> inputs = unpack(seeds), outputs;
    for (size_t i = 0; i < layouts_.size(); ++i)
      inputs.emplace_back(laidOut(seeds[i], i));
    {
      at::NoGradGuard noGrad;
      RunResult run = trainable_->gradients->run(inputs, outputs);
      if (run.status == RunResult::Status::Threw)
        std::rethrow_exception(run.exception);
      TORCH_CHECK(
          run.status == RunResult::Status::Done,
          "an assumption about sizes does not hold in the backward of a converted function");
    }
    variable_list gradients;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const std::vector<uint32_t> &from = trainable_->from[i];
      bool isUsed = std::any_of(from.begin(), from.end(),
                                [&](uint32_t result) { return seeds[result].defined(); });
      const at::Tensor &gradient = outputs[i].toTensor();
      gradients.push_back(!isUsed                      ? at::Tensor()
                          : at::GradMode::is_enabled() ? onceDifferentiable(gradient)
                                                       : gradient);
    }
    return gradients;
  }

  // As eager's nodes: each frees what it has saved when it has been gone through, and another
  // backward may go through others.
  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (size_t result = 0; result < spent_.size(); ++result)
      spent_[result] = spent_[result] || visited_[result];
    for (size_t i = 0; i < saved_.size(); ++i) {
      auto *variable = std::get_if<SavedVariable>(&saved_[i]);
      const std::vector<uint32_t> &readers = trainable_->readers[i];
      if (variable && std::all_of(readers.begin(), readers.end(),
                                  [&](uint32_t reader) { return spent_[reader]; }))
        saved_[i] = Emptied(variable->unpack(getptr()));
    }
    if (mayRunAgain())
      return;
    for (auto &saved : saved_)
      if (auto *tape = std::get_if<SavedTape>(&saved))
        tape->tape.reset();
    watched_.clear();
  }
  std::string name() const override { return "ConvertedBackward"; }

private:
  // Whichever results it is for, a run goes along all of the tapes.
  bool mayRunAgain() const {
    for (size_t result = 0; result < spent_.size(); ++result)
      if (!spent_[result] || trainable_->meets[result].empty())
        return true;
    return false;
  }

  std::vector<c10::IValue> unpack(const variable_list &seeds) {
    std::lock_guard<std::mutex> lock(mutex_);
    visited_.assign(seeds.size(), false);
    for (size_t result = 0; result < seeds.size(); ++result) {
      visited_[result] = seeds[result].defined();
      for (uint32_t other : trainable_->meets[result])
        TORCH_CHECK(!visited_[result] || !spent_[other], ERR_BACKWARD_TWICE);
    }
    for (const SavedVariable &variable : watched_)
      (void)variable.unpack();
    std::vector<c10::IValue> values;
    for (auto &saved : saved_)
      if (auto *tape = std::get_if<SavedTape>(&saved))
        values.emplace_back(Tape::copyOf(tape->tape));
      else if (auto *variable = std::get_if<SavedVariable>(&saved))
        values.emplace_back(variable->unpack(getptr()).detach());
      else if (auto *emptied = std::get_if<Emptied>(&saved))
        values.emplace_back(emptied->filled());
      else
        values.push_back(std::get<c10::IValue>(saved));
    return values;
  }

  at::Tensor laidOut(const at::Tensor &seed, size_t number) {
    if (!seed.defined())
      return input_metadata(number).zeros_like();
    if (seed.strides() == c10::IntArrayRef(layouts_[number]))
      return seed.detach();
    at::Tensor copy = at::empty_strided(seed.sizes(), layouts_[number], seed.options());
    at::NoGradGuard noGrad;
    copy.copy_(seed);
    return copy;
  }

  std::shared_ptr<const TrainableResults> trainable_;
  std::vector<std::variant<SavedVariable, Emptied, SavedTape, c10::IValue>> saved_;
  std::vector<SavedVariable> watched_;
  std::vector<std::vector<int64_t>> layouts_;
  std::vector<bool> visited_, spent_; // of each result: by the last backward, by any
  std::mutex mutex_;
};

// What the program may write to between forward and backward: then backward must hear of it.
class Versions {
public:
  void note(const c10::IValue &value) {
    if (value.isTensor() && value.toTensor().has_storage())
      owners_.emplace(value.toTensor().storage().unsafeGetStorageImpl(), value.toTensor());
  }
  void share(const at::Tensor &tensor) const {
    auto owner = owners_.find(tensor.storage().unsafeGetStorageImpl());
    if (owner != owners_.end() && !owner->second.is_same(tensor))
      impl::set_version_counter(tensor, impl::version_counter(owner->second));
  }
  // Of what lies on a tape. Each once.
  std::vector<at::Tensor> ownersOf(std::span<const at::Tensor> contents) {
    std::vector<at::Tensor> found;
    for (const at::Tensor &tensor : contents)
      if (tensor.has_storage())
        if (auto owner = owners_.extract(tensor.storage().unsafeGetStorageImpl()))
          found.push_back(std::move(owner.mapped()));
    for (const at::Tensor &owner : found)
      note(owner);
    return found;
  }

private:
  std::unordered_map<const c10::StorageImpl *, at::Tensor> owners_;
};

} // namespace

void attachHistory(const std::shared_ptr<const TrainableResults> &trainable,
                   std::span<const c10::IValue> inputs, std::span<const c10::IValue> outputs) {
  size_t numSaved = outputs.size() - trainable->firstSaved + trainable->savedInputs.size();
  NodePointer node = makeNode<ConvertedBackward>(trainable, numSaved);
  auto &backward = static_cast<ConvertedBackward &>(*node);
  edge_list edges;
  for (uint32_t input : trainable->trained)
    edges.push_back(impl::gradient_edge(inputs[input].toTensor()));
  node->set_next_edges(std::move(edges));
  for (uint32_t result : trainable->returns)
    backward.addResult(outputs[result].toTensor());

  Versions versions;
  for (const c10::IValue &output : outputs.first(trainable->firstSaved))
    versions.note(output);
  for (const c10::IValue &input : inputs)
    versions.note(input);
  for (const c10::IValue &value : outputs.subspan(trainable->firstSaved)) {
    if (Tape::is(value)) {
      std::span<at::Tensor> contents = Tape::in(value.toTensor()).contents();
      for (at::Tensor &tensor : contents)
        if (tensor.requires_grad()) // a result: its history leads here, and would never end
          tensor = tensor.detach();
      for (const at::Tensor &owner : versions.ownersOf(contents))
        backward.watch(owner);
      backward.saveTape(value.toTensor());
      continue;
    }
    bool isOutput = false;
    for (uint32_t result : trainable->returns)
      isOutput =
          isOutput || (value.isTensor() && value.toTensor().is_same(outputs[result].toTensor()));
    if (value.isTensor() && !isOutput)
      versions.share(value.toTensor());
    backward.save(value, isOutput);
  }
  for (uint32_t input : trainable->savedInputs)
    backward.save(inputs[input], false);
}

} // namespace bifront
