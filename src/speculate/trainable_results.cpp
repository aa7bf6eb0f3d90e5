#include "speculate/trainable_results.h"

#include "capture/autograd_node.h"
#include "capture/modes.h"
#include "runtime/tape.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <variant>

namespace bifront {
namespace {

using namespace torch::autograd;

uint32_t versionOf(const c10::IValue &value) {
  return value.isTensor() && value.toTensor().defined() && !value.toTensor().is_inference()
             ? value.toTensor()._version()
             : 0;
}

void checkGiven(const TrainableResults &trainable, const GivenToRun &given) {
  try {
    pybind11::gil_scoped_acquire oneAtATime; // for the compiler
    for (uint32_t input : trainable.again->needed()) {
      if (input >= given.inputs.size())
        break; // a seed
      TORCH_CHECK(given.isUnchanged(input),
                  "one of its inputs has been modified by an inplace operation");
    }
  } catch (const std::exception &why) {
    TORCH_CHECK(false,
                "a gradient through a function converted by Bifront is differentiated again, or "
                "taken in another mode, which cannot be done: ",
                why.what(),
                "; take that gradient inside of the function, or leave the function unconverted");
  }
}

// Where a history leads to: nowhere, to the inputs and seeds, or to what these are made of.
enum class History { None, Own, Whole };

struct Retraced {
  variable_list sources, gradients; // of the inputs that train, then of seeds with a history
};

// The gradients, op by op.
Retraced retrace(const TrainableResults &trainable, const GivenToRun &given,
                 const variable_list &seeds, History history) {
  checkGiven(trainable, given);
  at::AutoGradMode withGrad(true);
  Retraced result;
  // Autograd is to stop at these, also where one comes of another.
  auto sourceOf = [&](const at::Tensor &tensor) {
    result.sources.push_back(history == History::Whole ? tensor.view_as(tensor)
                                                       : tensor.detach().requires_grad_());
    return result.sources.back();
  };
  std::vector<c10::IValue> inputs = given.inputs;
  for (uint32_t input : trainable.trained)
    inputs[input] = sourceOf(inputs[input].toTensor());
  for (const at::Tensor &seed : seeds)
    inputs.emplace_back(seed.requires_grad() ? sourceOf(seed) : seed);
  RandomState now(given.random.isSaved());
  given.random.restore();
  result.gradients = trainable.again->compute(inputs, history != History::None);
  now.restore();
  return result;
}

// Of which compiled gradients know nothing.
bool isInAnotherMode(const variable_list &seeds) {
  using Key = c10::DispatchKey;
  constexpr c10::DispatchKeySet wrapped{Key::Python, Key::FuncTorchGradWrapper,
                                        Key::FuncTorchBatched, Key::Batched, Key::Functionalize};
  return at::autocast::is_autocast_enabled(at::kCPU) || isTransforming() ||
         std::ranges::any_of(seeds, [&](const at::Tensor &seed) {
           return seed.defined() && seed.key_set().has_any(wrapped);
         });
}

// The history of gradients of a converted function's results, where somebody wants one.
class BackwardAgain final : public Node {
public:
  BackwardAgain(std::shared_ptr<const TrainableResults> trainable,
                std::shared_ptr<const GivenToRun> given, variable_list seeds,
                std::vector<size_t> defined)
      : trainable_(std::move(trainable)), given_(std::move(given)), seeds_(std::move(seeds)),
        defined_(std::move(defined)) {}

  variable_list apply(variable_list &&seeds) override {
    TORCH_CHECK(given_, ERR_BACKWARD_TWICE);
    bool goesOn = at::GradMode::is_enabled();
    Retraced again = retrace(*trainable_, *given_, seeds_, goesOn ? History::Whole : History::Own);
    variable_list outputs, theirs;
    for (size_t i = 0; i < defined_.size(); ++i)
      if (const at::Tensor &gradient = again.gradients[defined_[i]];
          seeds[i].defined() && gradient.requires_grad()) {
        outputs.push_back(gradient);
        theirs.push_back(seeds[i]);
      }
    if (outputs.empty())
      return variable_list(again.sources.size());
    at::AutoGradMode withGrad(true);
    return grad(outputs, again.sources, theirs, /*retain_graph=*/goesOn, goesOn,
                /*allow_unused=*/true);
  }

  void release_variables() override {
    given_.reset();
    seeds_.clear();
  }
  std::string name() const override { return "ConvertedBackwardAgain"; }

private:
  std::shared_ptr<const TrainableResults> trainable_;
  std::shared_ptr<const GivenToRun> given_;
  variable_list seeds_;
  std::vector<size_t> defined_; // which gradients there are
};

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
  ConvertedBackward(std::shared_ptr<const TrainableResults> trainable, size_t numSaved,
                    std::shared_ptr<const GivenToRun> given)
      : trainable_(std::move(trainable)), given_(std::move(given)),
        visited_(trainable_->meets.size()), spent_(trainable_->meets.size()) {
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
    if (isInAnotherMode(seeds))
      return retraced(seeds);
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
    for (size_t i = 0; i < outputs.size(); ++i)
      gradients.push_back(isUsed(i, seeds) ? outputs[i].toTensor() : at::Tensor());
    if (at::GradMode::is_enabled())
      attachAgain(gradients, seeds);
    return gradients;
  }

  // As eager's nodes: each frees what it has saved when it has been gone through, and another
  // backward may go through others. PyTorch calls it too where the graph ends without a backward.
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
    given_.reset();
    for (auto &saved : saved_)
      if (auto *tape = std::get_if<SavedTape>(&saved))
        tape->tape.reset();
    watched_.clear();
  }
  std::string name() const override { return "ConvertedBackward"; }

private:
  bool isUsed(size_t gradient, const variable_list &seeds) const {
    return std::ranges::any_of(trainable_->from[gradient],
                               [&](uint32_t result) { return seeds[result].defined(); });
  }

  variable_list filled(variable_list seeds) const {
    for (size_t i = 0; i < seeds.size(); ++i)
      if (!seeds[i].defined())
        seeds[i] = input_metadata(i).zeros_like();
    return seeds;
  }

  variable_list retraced(const variable_list &seeds) const {
    History history = at::GradMode::is_enabled() ? History::Whole : History::None;
    variable_list gradients = retrace(*trainable_, *given_, filled(seeds), history).gradients;
    for (size_t i = 0; i < gradients.size(); ++i)
      if (!isUsed(i, seeds))
        gradients[i] = at::Tensor();
    return gradients;
  }

  void attachAgain(variable_list &gradients, const variable_list &seeds) {
    edge_list edges = next_edges();
    variable_list given = filled(seeds);
    for (const at::Tensor &seed : given)
      if (seed.requires_grad())
        edges.push_back(impl::gradient_edge(seed));
    std::vector<size_t> defined;
    for (size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i].defined())
        defined.push_back(i);
    NodePointer node =
        makeNode<BackwardAgain>(trainable_, given_, std::move(given), std::move(defined));
    node->set_next_edges(std::move(edges));
    for (at::Tensor &gradient : gradients)
      if (gradient.defined()) {
        gradient = gradient.detach();
        impl::set_gradient_edge(gradient, {node, node->add_input_metadata(gradient)});
      }
  }

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
  std::shared_ptr<const GivenToRun> given_; // null: everything is spent
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

GivenToRun::GivenToRun(std::span<const c10::IValue> inputs, bool drawsRandomNumbers)
    : inputs(inputs.begin(), inputs.end()), random(drawsRandomNumbers) {
  std::ranges::transform(inputs, std::back_inserter(versions), versionOf);
}

bool GivenToRun::isUnchanged(uint32_t input) const {
  return versionOf(inputs[input]) == versions[input];
}

void attachHistory(const std::shared_ptr<const TrainableResults> &trainable,
                   std::shared_ptr<const GivenToRun> given, std::span<const c10::IValue> outputs) {
  const std::vector<c10::IValue> &inputs = given->inputs;
  size_t numSaved = outputs.size() - trainable->firstSaved + trainable->savedInputs.size();
  NodePointer node = makeNode<ConvertedBackward>(trainable, numSaved, given);
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
