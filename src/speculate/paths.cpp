#include "speculate/paths.h"

#include "ir/bf_dialect.h"
#include "passes/merge_paths.h"
#include "speculate/convert.h"
#include "speculate/forms.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>
#include <tuple>

namespace bifront {
namespace {

std::vector<std::string> textsOf(const Path &path) {
  std::vector<std::string> texts;
  for (const Decision &decision : path)
    texts.push_back(decision.what);
  return texts;
}

// For each input, the first that shares memory with it.
Aliases aliasesAmong(const std::vector<CapturedInput> &inputs) {
  Aliases aliasOf(inputs.size());
  std::map<const void *, uint32_t> byMemory;
  for (uint32_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor &tensor = inputs[i].tensor;
    if (!tensor.defined() || tensor.numel() == 0)
      continue;
    auto [first, isNew] = byMemory.try_emplace(tensor.storage().unsafeGetStorageImpl(), i);
    if (!isNew)
      aliasOf[i] = first->second;
  }
  return aliasOf;
}

// Before the modules are spent; null where it is too long to be made again with others.
std::shared_ptr<CapturedForm> keepForm(std::span<const Captured> paths) {
  auto form = std::make_shared<CapturedForm>();
  for (const Captured &path : paths) {
    form->ops += path.cost.ops;
    if (path.trainable || form->ops > kMostOpsOfForms)
      return nullptr;
    form->paths.push_back({path.module.get().clone(), {}, textsOf(path.path), path.refusal, {}});
  }
  return form;
}

std::vector<uint32_t> upTo(size_t count) {
  std::vector<uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

Captured alone(Captured path) {
  if (auto form = keepForm({&path, 1})) {
    form->paths[0].inputs = upTo(path.inputs.size());
    mlir::func::FuncOp function = *path.module->getOps<mlir::func::FuncOp>().begin();
    form->paths[0].results = upTo(function.front().getTerminator()->getNumOperands());
    form->aliasOf = aliasesAmong(path.inputs);
    path.form = std::move(form);
  }
  assertDecisions(*path.module, textsOf(path.path));
  path.paths.push_back(path.path);
  return path;
}

class Merger {
public:
  Captured run(std::vector<Captured> paths) {
    auto form = keepForm(paths);
    std::vector<CapturedPath> modules;
    for (Captured &path : paths) {
      if (path.trainable)
        throw std::invalid_argument("a result of one of several paths still trains");
      modules.push_back({*path.module, takeInputs(path), textsOf(path.path), path.refusal});
    }
    Aliases aliasOf = aliasesAmong(all_.inputs);
    MergedPaths merged = mergePaths(modules, aliasOf);
    all_.module = std::move(merged.module);
    for (size_t i = 0; i < paths.size(); ++i)
      take(paths[i], modules[i].inputs, merged.paths[i]);
    for (size_t i = 0; form && i < paths.size(); ++i) {
      form->paths[i].inputs = std::move(modules[i].inputs);
      form->paths[i].results = std::move(merged.paths[i].results);
      form->aliasOf = aliasOf;
    }
    all_.form = std::move(form);
    return std::move(all_);
  }

private:
  // What makes an input the same in two paths.
  using Key = std::tuple<CapturedInput::Kind, const void *, const void *, uint32_t>;

  std::vector<uint32_t> takeInputs(const Captured &path) {
    std::vector<uint32_t> numbers;
    for (uint32_t i = 0; i < path.inputs.size(); ++i) {
      CapturedInput input = path.inputs[i];
      auto leaf = path.leafOfInput.find(i);
      bool isLeaf = leaf != path.leafOfInput.end();
      Key key{input.kind, isLeaf ? nullptr : input.tensor.unsafeGetTensorImpl(), input.held.get(),
              isLeaf ? leaf->second : 0};
      auto [known, isNew] = numbers_.try_emplace(key, all_.inputs.size());
      numbers.push_back(known->second);
      if (!isNew)
        continue;
      if (isLeaf)
        all_.leafOfInput.emplace(known->second, leaf->second);
      if (input.kind == CapturedInput::Kind::Grad)
        input.owner = numbers[input.owner];
      all_.inputs.push_back(std::move(input));
    }
    return numbers;
  }

  void take(Captured &path, const std::vector<uint32_t> &inputs, const MergedPaths::Path &merged) {
    const std::vector<uint32_t> &results = merged.results;
    for (PathEnd &end : path.ends)
      for (GraphResult &result : end.results) {
        if (result.kind == GraphResult::Kind::Input)
          result.index = inputs[result.index];
        else if (result.kind != GraphResult::Kind::Leaf)
          result.index = results[result.index];
      }
    if (path.ends.empty())
      path.ends.emplace_back(); // nobody gets there
    all_.ends.push_back(std::move(path.ends[0]));
    all_.gradients.push_back(merged.gradients);
    all_.paths.push_back(std::move(path.path));
    for (const auto &[input, defined] : path.gradPresence) {
      std::pair presence{inputs[input], defined};
      if (std::find(all_.gradPresence.begin(), all_.gradPresence.end(), presence) ==
          all_.gradPresence.end())
        all_.gradPresence.push_back(presence);
    }
    for (const auto &[owner, input] : path.sharedGrads)
      all_.sharedGrads.emplace_back(inputs[owner], inputs[input]);
    all_.changes.add(path.changes);
    all_.bareLeaves.merge(path.bareLeaves);
    all_.cost.ops += path.cost.ops;
    all_.cost.seconds += path.cost.seconds;
    all_.drawsRandomNumbers = all_.drawsRandomNumbers || path.drawsRandomNumbers;
    for (std::string &note : path.notes)
      if (std::find(all_.notes.begin(), all_.notes.end(), note) == all_.notes.end())
        all_.notes.push_back(std::move(note));
    for (PythonRead &read : path.reads)
      if (isNewRead(read))
        all_.reads.push_back(std::move(read));
    for (SlotInput &input : path.slotInputs)
      if (std::none_of(all_.slotInputs.begin(), all_.slotInputs.end(), [&](const SlotInput &known) {
            return sameSlot(known.slot, input.slot); // two slots may be one input
          }))
        all_.slotInputs.push_back(std::move(input));
  }

  bool isNewRead(const PythonRead &read) {
    return reads_
        .emplace(static_cast<int>(read.kind), static_cast<int>(read.slot.kind),
                 read.slot.object.get(), read.slot.key.get(), read.value.get())
        .second;
  }

  Captured all_;
  std::map<Key, uint32_t> numbers_;
  std::set<std::tuple<int, int, PyObject *, PyObject *, PyObject *>> reads_;
};

Captured mergeCaptured(std::vector<Captured> paths) { return Merger().run(std::move(paths)); }

bool areAllRefused(const std::vector<Captured> &paths) {
  return std::all_of(paths.begin(), paths.end(),
                     [](const Captured &path) { return path.refusal.has_value(); });
}

// Of a call that CPython has to run: a path that parts from its one.
void captureNeighbour(const CapturePath &capture, std::vector<Captured> &paths) {
  constexpr int kMostOthers = 4;
  Path other = paths[0].path;
  for (int tried = 0; tried < kMostOthers && !other.empty(); other.pop_back()) {
    if (!other.back().isTruth)
      continue;
    ++tried;
    other.back().outcome = other.back().outcome ? 0 : 1;
    Captured captured;
    try {
      capture(captured, &other);
    } catch (const ConversionError &) { // another may do
      continue;
    }
    if (captured.refusal)
      continue;
    paths.push_back(std::move(captured));
    return;
  }
}

// Adds the paths of earlier calls.
void captureOthers(const CapturePath &capture, const std::vector<Path> &others,
                   std::vector<Captured> &paths) {
  constexpr size_t kMostPaths = 16;
  auto isKnown = [&](const Path &path) {
    return std::any_of(paths.begin(), paths.end(),
                       [&](const Captured &known) { return known.path == path; });
  };
  for (const Path &earlier : others) {
    if (paths.size() >= kMostPaths)
      return;
    if (isKnown(earlier))
      continue;
    Captured captured;
    try {
      capture(captured, &earlier);
    } catch (const ConversionError &error) { // for other arguments, or other code
      if (!error.needed.empty()) // of these arguments: it would be one, were they decided
        throw;
      paths[0].notes.push_back(std::string("a path of an earlier call: ") + error.what());
      continue;
    }
    if (!isKnown(captured.path))
      paths.push_back(std::move(captured));
  }
}

} // namespace

// The rest of a path that CPython has to run.
void dropUndecided(mlir::ModuleOp module) {
  mlir::Block &body = (*module.getOps<mlir::func::FuncOp>().begin()).front();
  while (true) {
    mlir::Operation *last = body.getTerminator()->getPrevNode();
    if (!last || mlir::isa<bf::DecideOp>(last))
      return;
    last->erase();
  }
}

std::function<std::optional<int64_t>(ValueId, const std::string &)>
decisions(GraphRecorder &recorder, Capture &capture, Captured &captured, Path &forced,
          std::function<std::optional<c10::Scalar>(ValueId)> foresee) {
  return [&, foresee = std::move(foresee)](ValueId value,
                                           const std::string &what) -> std::optional<int64_t> {
    constexpr size_t kMostDecisions = 256;
    SourceLine line = capture.recording().sourceLine();
    Decision decision{line.file + ":" + std::to_string(line.line), what, 0,
                      recorder.typeOf(value).kind == ValueType::Kind::Bool};
    size_t number = captured.path.size();
    if (number < forced.size() && forced[number].asks(decision)) {
      decision.outcome = forced[number].outcome;
    } else {
      // What an earlier call did not have to decide goes as this call goes.
      bool comesLater = std::any_of(forced.begin() + std::min(number, forced.size()), forced.end(),
                                    [&](const Decision &other) { return other.asks(decision); });
      if (comesLater)
        capture.fail(kOtherWay);
      auto foreseen = number < kMostDecisions ? foresee(value) : std::nullopt;
      if (!foreseen)
        return std::nullopt;
      decision.outcome = foreseen->to<int64_t>();
      if (number < forced.size())
        forced.insert(forced.begin() + number, decision);
    }
    recorder.decide(value, decision.outcome);
    captured.path.push_back(decision);
    return decision.outcome;
  };
}

Captured capturePaths(const CapturePath &capture, const Policies *policies,
                      const std::vector<Path> &others) {
  constexpr int kMostRounds = 8;
  std::vector<std::string> notes; // of all rounds: what has settled is not said again
  for (int round = 0; round < kMostRounds; ++round) {
    Policies before = policies ? *policies : Policies();
    std::vector<Captured> paths(1);
    capture(paths[0], nullptr);
    for (std::string &note : paths[0].notes)
      if (std::ranges::find(notes, note) == notes.end())
        notes.push_back(std::move(note));
    paths[0].notes = notes;
    if (!paths[0].path.empty())
      captureOthers(capture, others, paths);
    if (areAllRefused(paths))
      captureNeighbour(capture, paths);
    if (areAllRefused(paths))
      throw ConversionError(ExitReason::CaptureFailed,
                            paths[0].refusal->substr(kPathOfPython.size()), {}, paths[0].raised);
    if (policies && !paths[0].path.empty() && before != *policies)
      continue; // there may be branches where other paths, or this one in later walks, have none
    return paths.size() == 1 ? alone(std::move(paths[0])) : mergeCaptured(std::move(paths));
  }
  throw ConversionError(ExitReason::CaptureFailed,
                        "the paths of the function differ in their branches");
}

TensorSource sourceOf(const Captured &captured, uint32_t input) {
  auto leaf = captured.leafOfInput.find(input);
  return leaf != captured.leafOfInput.end() ? TensorSource{leaf->second, {}}
                                            : TensorSource{0, captured.inputs[input].tensor};
}

void bindEnds(ConvertedGraph &graph, Captured &captured) {
  graph.ends = std::move(captured.ends);
  for (size_t i = 0; i < captured.gradients.size(); ++i)
    for (const auto &[input, result] : captured.gradients[i])
      graph.ends[i].gradients.emplace_back(sourceOf(captured, input), result);
}

} // namespace bifront
