#include "speculate/converted_function.h"

#include "ir/assertion_texts.h"
#include "runtime/idle_frames.h"
#include "speculate/compile_later.h"
#include "speculate/convert.h"
#include "speculate/forms.h"
#include "speculate/opaque_run.h"
#include "speculate/random_state.h"
#include "support/options.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace bifront {
namespace {

// Enough for most calls without an allocation.
class LeafBuffer {
public:
  PyObject **cleared(size_t count) {
    if (count > std::size(inline_))
      heap_.assign(count, nullptr);
    else
      std::fill_n(inline_, count, nullptr);
    return count > std::size(inline_) ? heap_.data() : inline_;
  }

private:
  PyObject *inline_[16];
  std::vector<PyObject *> heap_;
};

// The one conversion of a function that there is at a time. False where there is one already: of
// another thread, or around this call, which the function makes of itself while it is captured.
class ConversionTurn {
public:
  ConversionTurn(std::atomic<bool> &isTaken, double &seconds)
      : isTaken_(isTaken), seconds_(seconds), isMine_(!isTaken.exchange(true)) {}
  ConversionTurn(const ConversionTurn &) = delete;
  ConversionTurn &operator=(const ConversionTurn &) = delete;
  ~ConversionTurn() {
    if (!isMine_)
      return;
    seconds_ += spent();
    isTaken_ = false;
  }
  explicit operator bool() const { return isMine_; }
  double spent() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

private:
  std::atomic<bool> &isTaken_;
  double &seconds_;
  bool isMine_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

bool isOneGraph(const ConvertedGraph &one, const ConvertedGraph &other) {
  return one.executor == other.executor;
}

bool ordinaryArguments(PyObject *const *args, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (THPVariable_Check(args[i]) &&
        (!THPVariable_CheckExact(args[i]) || !isOrdinaryTensor(THPVariable_Unpack(args[i]))))
      return false;
  return true;
}

std::string utf8Of(PyObject *object) {
  const char *text = object && PyUnicode_Check(object) ? PyUnicode_AsUTF8(object) : nullptr;
  return text ? text : "?";
}

// "step (train.py:12)"; callables without code are known by their name alone, or by their type's.
std::string placeOf(PyObject *function) {
  auto attribute = [](PyObject *object, const char *name) {
    PyRef value = PyRef::steal(object ? PyObject_GetAttrString(object, name) : nullptr);
    PyErr_Clear(); // an attribute that is not there is not an error
    return value;
  };
  PyRef name = attribute(function, "__qualname__"), code = attribute(function, "__code__");
  std::string place = name.get() ? utf8Of(name.get()) : Py_TYPE(function)->tp_name;
  PyRef file = attribute(code.get(), "co_filename"), line = attribute(code.get(), "co_firstlineno");
  if (file.get() && line.get())
    place += " (" + utf8Of(file.get()) + ":" + std::to_string(PyLong_AsLong(line.get())) + ")";
  return place;
}

} // namespace

ConvertedFunction::ConvertedFunction(PyObject *function, ConversionOptions options)
    : function_(PyRef::share(function)), options_(std::move(options)) {
  if (bifront::options().background)
    later_ = std::make_unique<LaterCompiler>();
}

ConvertedFunction::~ConvertedFunction() = default;

PyObject *ConvertedFunction::callPython(PyObject *const *args, size_t count,
                                        PyObject *keywordNames) {
  if (!sites_.needsSamples() || Replay::current() || Sampling::current())
    return PyObject_Vectorcall(function_.get(), args, count, keywordNames);
  Rerouted rerouted(sites_.functionsToSample());
  Sampling sampling(sites_);
  return PyObject_Vectorcall(function_.get(), args, count, keywordNames);
}

// CPython runs the call, but for the opaque calls that a run has made.
PyObject *ConvertedFunction::replay(CallLog log, const ConvertedGraph &graph, PyObject *const *args,
                                    size_t count, PyObject *keywordNames) {
  ++stats_.fallbackCalls;
  Rerouted rerouted(graph.rerouted);
  Replay replay(std::move(log));
  return PyObject_Vectorcall(function_.get(), args, count, keywordNames);
}

void ConvertedFunction::log(const std::string &what) const {
  if (options().log) // one write, so that lines of several threads stay whole
    std::cerr << "bifront: " + placeOf(function_.get()) + ": " + what + "\n" << std::flush;
}

void ConvertedFunction::count(ExitReason reason, const std::string &message,
                              const std::string &location) {
  constexpr size_t kMostPlaces = 32;
  ++stats_.exits[static_cast<size_t>(reason)];
  if (!message.empty())
    stats_.lastError = message;
  if (!location.empty()) {
    auto known =
        std::find_if(stats_.places.begin(), stats_.places.end(), [&](const ExitPlace &place) {
          return place.reason == reason && place.location == location && place.message == message;
        });
    if (known != stats_.places.end())
      ++known->count;
    else if (stats_.places.size() < kMostPlaces)
      stats_.places.push_back({location, reason, message});
  }
  if (options().log) {
    const ExitReasonText &text = textOf(reason);
    log(std::string(text.code) + " " + std::string(text.sentence) +
        (message.empty() ? "" : " " + message));
  }
}

PyObject *ConvertedFunction::fallBack(ExitReason reason, PyObject *const *args, size_t count,
                                      PyObject *keywordNames, const std::string &message) {
  this->count(reason, message);
  ++stats_.fallbackCalls;
  lastMiss_ = reason;
  return callPython(args, count, keywordNames);
}

PyObject *ConvertedFunction::call(PyObject *const *args, size_t count, PyObject *keywordNames) {
  ++stats_.calls;
  // Functions that run copies of their code fit no guard, and their calls belong to a log.
  if (!options().enabled || Rerouted::isAny()) {
    ++stats_.fallbackCalls;
    return callPython(args, count, keywordNames);
  }
  if (stats_.profiledCalls < static_cast<uint64_t>(options_.profileCalls)) {
    ++stats_.profiledCalls;
    if (options_.walked)
      varying_.add(seen_.add(args, count, keywordNames));
    return callPython(args, count, keywordNames);
  }
  if (hasGivenUp())
    return fallBack(lastMiss_, args, count, keywordNames);
  if (foreignModeActive())
    return fallBack(ExitReason::ForeignMode, args, count, keywordNames);
  if (detectsAnomalies())
    return fallBack(ExitReason::AnomalyDetection, args, count, keywordNames);
  if (wastesRuns())
    return fallBack(ExitReason::TooManyWays, args, count, keywordNames);

  Misfits misfits;
  if (auto result = runAny(args, count, keywordNames, misfits)) {
    learnFromReplay(*result, args, count, keywordNames);
    return *result;
  }
  if (misfits.wrong.empty() && !kept_.empty())
    this->count(misfits.reason);
  if (later_ && later_->isBusy())
    return fallBack(ExitReason::CompilesLater, args, count, keywordNames);
  ++missesInARow_;
  size_t total = count + (keywordNames ? PyTuple_GET_SIZE(keywordNames) : 0);
  if (!ordinaryArguments(args, total))
    return fallBack(ExitReason::UnsupportedTensor, args, count, keywordNames);
  // Every graph for these tensors would be refused again.
  if (misfits.wrong.empty() && misfits.reason == ExitReason::Aliasing) {
    ++stats_.fallbackCalls;
    lastMiss_ = misfits.reason;
    return callPython(args, count, keywordNames);
  }
  if (!mayConvert())
    return fallBack(failure_, args, count, keywordNames);
  if (!mayConvertMore())
    return fallBack(ExitReason::TooManyGraphs, args, count, keywordNames);
  learnVarying(args, count, keywordNames, misfits);
  if (!seen_.comesBack(varying_, *choices_, objectsOfGraphs()))
    return fallBack(ExitReason::NewChoice, args, count, keywordNames);
  PyObject *result = runNew(args, count, keywordNames, misfits);
  learnFromReplay(result, args, count, keywordNames);
  return result;
}

// Those that the arguments have to be.
std::set<PyObject *> ConvertedFunction::objectsOfGraphs() const {
  std::set<PyObject *> objects;
  for (const auto &kept : kept_)
    for (const ValuePattern &pattern : kept->graph->arguments)
      pattern.forEachIdentity([&](PyObject *object) { objects.insert(object); });
  return objects;
}

// Where an assumption has failed behind an opaque call, no other graph could try the call: the next
// ones have one that could.
void ConvertedFunction::learnFromReplay(PyObject *result, PyObject *const *args, size_t count,
                                        PyObject *keywordNames) {
  auto failed = std::exchange(failed_, nullptr);
  if (!failed || !result || !mayConvert() || !mayConvertMore())
    return;
  Misfits misfits;
  misfits.wrong.push_back(std::move(failed));
  if (auto made = convert(args, count, keywordNames, misfits))
    takePlaces(*made, misfits);
  PyErr_Clear(); // the call is over
}

bool ConvertedFunction::fits(PyObject *const *args, size_t count, PyObject *keywordNames) const {
  LeafBuffer buffer;
  return std::ranges::any_of(kept_, [&](const auto &kept) {
    return !kept->graph->refuses(args, count, keywordNames, buffer.cleared(kept->graph->numLeaves));
  });
}

std::optional<PyObject *> ConvertedFunction::runAny(PyObject *const *args, size_t count,
                                                    PyObject *keywordNames, Misfits &misfits) {
  LeafBuffer buffer;
  for (size_t i = 0; i < kept_.size(); ++i) {
    auto kept = kept_[i]; // keeps it alive when another thread drops it
    PyObject **leaves = buffer.cleared(kept->graph->numLeaves);
    if (auto reason = kept->graph->refuses(args, count, keywordNames, leaves)) {
      if (i == 0)
        misfits.reason = *reason;
      continue;
    }
    // Asked before the run, which may change what they check.
    KeptGraphs older = olderThatFit(*kept, args, count, keywordNames);
    bool ran = false;
    if (auto result = run(*kept, leaves, args, count, keywordNames, ran)) {
      if (ran)
        hasRun(kept, older, misfits);
      return result;
    }
    misfits.wrong.push_back(kept);
  }
  return std::nullopt;
}

void ConvertedFunction::learnVarying(PyObject *const *args, size_t count, PyObject *keywordNames,
                                     Misfits &misfits) {
  Varying learned;
  std::vector<PyRef> replaced;
  if (options_.walked)
    learned = seen_.add(args, count, keywordNames);
  for (const auto &kept : kept_)
    if (auto difference = kept->graph->differs(args, count, keywordNames)) {
      learned.add(difference->values);
      differed_.add(difference->values);
      replaced.insert(replaced.end(), difference->replaced.begin(), difference->replaced.end());
      misfits.differ.emplace_back(kept, std::move(*difference));
    }
  if (!options_.walked) { // of numbers it has constants alone
    learned.values.clear();
    learned.choices.clear();
  }
  if (!options_.walked || smallSizesApart_)
    learned.forgetSmall();
  learned.remove(constants_);
  varying_.add(learned);
  varying_.removeInside(replaced);
}

PyObject *ConvertedFunction::runNew(PyObject *const *args, size_t count, PyObject *keywordNames,
                                    const Misfits &misfits) {
  for (bool again = true; again;) {
    auto kept = convert(args, count, keywordNames, misfits);
    if (PyErr_Occurred())
      return nullptr;
    if (!kept)
      break;
    LeafBuffer buffer;
    PyObject **leaves = buffer.cleared(kept->graph->numLeaves);
    if (auto refused = kept->graph->refuses(args, count, keywordNames, leaves))
      return fallBack(*refused, args, count, keywordNames);
    bool ran = false;
    if (auto result = run(*kept, leaves, args, count, keywordNames, ran)) {
      // CPython may have run the call because its path raises: the graph has the others' paths too.
      if (ran || kept->graph->ends.size() > 1) {
        takePlaces(*kept, misfits);
        unite(kept, misfits);
      }
      return *result;
    }
    // Another call may draw what it assumes.
    if (kept->graph->drawsRandomNumbers || kept->graph->callsPython())
      break;
    // It has failed for the very call that it was made of: without inputs it knows this call
    // better.
    drop(kept.get());
    again = !varying_.empty() && mayConvertMore();
    if (again && !decideAll())
      makeConstant(Varying(varying_));
    if (!again)
      noteFailedAttempt(ExitReason::TooManyWays);
  }
  ++stats_.fallbackCalls;
  return callPython(args, count, keywordNames);
}

void ConvertedFunction::learnPaths(const ConvertedGraph &graph) {
  constexpr size_t kMostPaths = 16;
  std::vector<Path> paths = graph.paths;
  for (Path &path : paths_)
    if (std::find(paths.begin(), paths.end(), path) == paths.end())
      paths.push_back(std::move(path));
  if (paths.size() > kMostPaths)
    paths.resize(kMostPaths);
  paths_ = std::move(paths);
}

//===- The graphs that are kept ------------------------------------------------------------===//

ConvertedFunction::Graphs ConvertedFunction::forms() const {
  Graphs forms;
  for (const auto &kept : kept_)
    forms.push_back(kept->graph);
  return forms;
}

ConvertedFunction::Graphs ConvertedFunction::graphs() const {
  Graphs graphs;
  for (auto &form : forms())
    if (std::ranges::none_of(graphs, [&](const auto &known) { return isOneGraph(*known, *form); }))
      graphs.push_back(std::move(form));
  return graphs;
}

void ConvertedFunction::drop(const Kept *graph) {
  std::erase_if(kept_, [&](const auto &kept) { return kept.get() == graph; });
}

// Of graphs that did not fit the call that `made` has run.
void ConvertedFunction::takePlaces(const Kept &made, const Misfits &misfits) {
  missesInARow_ = 0;
  // What differed from these is an input of the new one.
  for (const auto &[older, difference] : misfits.differ)
    if (difference.wholly && varying_.hasAll(difference.values))
      drop(older.get());
  // With both ways of a branch it serves the calls of a graph that had one.
  if (made.graph->forks)
    for (const auto &older : misfits.wrong)
      if (!older->graph->forks || made.graph->ends.size() > 1 ||
          (made.graph->decides && !older->graph->decides))
        drop(older.get());
}

// Whether these graphs and a new one may be forms of one. What an assumption tells apart is not:
// such a call would still run one form for nothing.
bool ConvertedFunction::joins(const Kept &made, const KeptGraphs &others,
                              const Misfits &misfits) const {
  uint64_t ops = made.graph->captured->ops;
  for (const auto &other : others) {
    bool isWrong = std::ranges::find(misfits.wrong, other) != misfits.wrong.end();
    if (!other->graph->captured || isWrong)
      return false;
    ops += other->graph->captured->ops;
  }
  // The memory of one graph goes as a whole.
  int64_t bytes = made.graph->bytes() + others[0]->graph->bytes();
  return ops <= kMostOpsOfForms && bytes <= options().graphMegabytes << 20;
}

// Makes a new graph a form of the first one that it can join.
void ConvertedFunction::unite(const std::shared_ptr<Kept> &made, const Misfits &misfits) {
  auto isAlone = [&](const ConvertedGraph &graph) {
    return std::ranges::count_if(
               kept_, [&](const auto &kept) { return isOneGraph(*kept->graph, graph); }) == 1;
  };
  if (!made->graph->captured || !isAlone(*made->graph))
    return;
  ConversionTurn turn(converting_, stats_.conversionSeconds);
  if (!turn)
    return;
  for (const auto &graph : graphs()) {
    KeptGraphs forms;
    std::ranges::copy_if(kept_, std::back_inserter(forms), [&](const auto &kept) {
      return kept != made && isOneGraph(*kept->graph, *graph);
    });
    // A program that runs for several objects is one form.
    bool isForms = !forms.empty() && (forms[0]->graph->seat || forms.size() == 1);
    if (!isForms || !joins(*made, forms, misfits))
      continue;
    forms.push_back(made);
    Graphs apart;
    for (const auto &form : forms)
      apart.push_back(form->graph);
    try {
      Graphs united = uniteForms(apart);
      for (size_t i = 0; i < forms.size(); ++i)
        forms[i]->graph = united[i];
      break;
    } catch (const std::exception &why) {
      log(std::string("two forms stay graphs of their own: ") + why.what());
    }
  }
}

// The newest stays: it is about to run. Large memory graphs have in turn: of that the largest one's
// counts, beyond what the newest takes over.
void ConvertedFunction::boundMemory() {
  auto bytes = [&] {
    int64_t sum = 0, largest = kept_[0]->graph->arenaBytes();
    for (const auto &graph : graphs()) {
      int64_t each = graph->bytes();
      if (each < static_cast<int64_t>(IdleFrames::kWorthTakingOver))
        sum += each;
      else
        largest = std::max(largest, each);
    }
    return sum + largest - kept_[0]->graph->arenaBytes();
  };
  while (kept_.size() > 1 && bytes() > options().graphMegabytes << 20) {
    auto least =
        std::min_element(kept_.begin() + 1, kept_.end(), [](const auto &one, const auto &other) {
          return one->lastCall < other->lastCall;
        });
    kept_.erase(least);
  }
}

// A graph that has been made because others did not fit may serve their calls as well. Its first
// runs find out, at the cost of their checks; later ones do not ask.
ConvertedFunction::KeptGraphs ConvertedFunction::olderThatFit(const Kept &kept,
                                                              PyObject *const *args, size_t count,
                                                              PyObject *keywordNames) const {
  KeptGraphs older;
  if (kept.comparisons == 0 || kept_.size() == 1)
    return older;
  LeafBuffer buffer;
  for (const auto &other : kept_)
    if (other->made < kept.made && !other->distinct &&
        !other->graph->refuses(args, count, keywordNames, buffer.cleared(other->graph->numLeaves)))
      older.push_back(other);
  return older;
}

void ConvertedFunction::hasRun(const std::shared_ptr<Kept> &kept, const KeptGraphs &olderToo,
                               const Misfits &misfits) {
  missesInARow_ = 0;
  for (const auto &wrong : misfits.wrong)
    kept->distinct |= wrong->made > kept->made;
  if (kept->comparisons > 0)
    --kept->comparisons;
  // One with assumptions of its own may yet go the other way, where the older one is right.
  uint32_t enough = kept->graph->executor->program().asserts.empty() ? 1 : 3;
  for (const auto &older : olderToo)
    if (++older->covered >= enough)
      drop(older.get());
  // Calls that follow each other often go the same way.
  auto found = std::find(kept_.begin(), kept_.end(), kept);
  if (!misfits.wrong.empty() && found != kept_.end())
    std::rotate(kept_.begin(), found, found + 1);
}

// As many as there may be graphs, whatever they have come to: behaviours that alternate cause no
// storm. Those that change slowly get another for each thousand calls that graphs have run; where
// opaque calls draw the ways at random, another way may cost one, if calls come back to ways.
bool ConvertedFunction::mayConvertMore() const {
  constexpr uint64_t kCallsForOneMore = 1000;
  uint64_t conversions = stats_.conversions - sharedConversions_, ran = stats_.graphCalls;
  uint64_t more = ran / kCallsForOneMore;
  bool draws = std::ranges::any_of(
      kept_, [](const auto &kept) { return !kept->graph->opaqueCalls().empty(); });
  if (draws && ran > conversions && !paths_.empty())
    more = std::max(more, std::min<uint64_t>(paths_.size() - 1, 2 * (ran - conversions)));
  return conversions < static_cast<uint64_t>(options_.maxGraphs) + more;
}

// After many calls that no graph could run, few are still tried: the rest costs what CPython costs.
bool ConvertedFunction::hasGivenUp() const {
  constexpr uint64_t kPatience = 64, kBetweenTries = 64;
  return missesInARow_ > kPatience && stats_.calls % kBetweenTries != 0;
}

bool ConvertedFunction::wastesRuns() {
  constexpr uint64_t kPatience = 64;
  return wastedRuns_ > kPatience && wastedRuns_ > stats_.graphCalls;
}

void ConvertedFunction::makeConstant(const Varying &values) {
  constants_.add(values);
  varying_.remove(values);
  size_t before = decided_.size();
  decided_.remove(values);
  if (decided_.size() != before) // their assertions would fail where a graph for the value fits
    std::erase_if(kept_, [](const auto &kept) { return kept->graph->decides; });
}

// Whether there was more that could decide the path.
bool ConvertedFunction::decideAll() {
  bool isMore = varying_.makeChoices() || varying_.dimensions.size() > decided_.size();
  for (const Varying::Dimension &dimension : varying_.dimensions)
    if (!decided_.has(dimension))
      decided_.dimensions.push_back(dimension);
  return isMore;
}

void ConvertedFunction::keepSmallSizesApart() {
  smallSizesApart_ = true;
  varying_.forgetSmall();
}

void ConvertedFunction::noteFailedAttempt(ExitReason reason) {
  failure_ = reason;
  ++failedAttempts_;
  nextAttempt_ = stats_.calls + (uint64_t{2} << failedAttempts_);
}

std::shared_ptr<ConvertedFunction::Kept> ConvertedFunction::convert(PyObject *const *args,
                                                                    size_t count,
                                                                    PyObject *keywordNames,
                                                                    const Misfits &misfits) {
  ConversionTurn turn(converting_, stats_.conversionSeconds);
  if (!turn)
    return nullptr;
  constexpr uint32_t kComparisons = 32;
  std::shared_ptr<Kept> made;
  try {
    ++stats_.conversions;
    bool varies = stats_.exits[static_cast<size_t>(ExitReason::AssertionFailed)] > 0 ||
                  !options_.dynamic.empty() || !varying_.empty();
    bool hasBoth = std::any_of(misfits.wrong.begin(), misfits.wrong.end(),
                               [](const auto &wrong) { return wrong->graph->forks; });
    ConversionRequest request{function_.get(),
                              args,
                              count,
                              keywordNames,
                              options_,
                              varying_,
                              choices_,
                              decided_,
                              questions_,
                              false,
                              std::nullopt,
                              paths_,
                              options_.walked && varies,
                              /*assumesInBranches=*/!hasBoth,
                              &sites_,
                              {},
                              later_.get()};
    for (auto &graph : forms())
      if (isForOthers(*graph, request))
        request.ofOthers.push_back(std::move(graph));
    if (!request.ofOthers.empty())
      request.policies = request.ofOthers[0]->policies;
    request.unrollsAll = intsOverflow_;
    auto graph = convertWithCalls(std::move(request));
    learnPaths(*graph);
    if (seen_.waited() && std::ranges::any_of(kept_, [&](const auto &kept) {
          return isOneGraph(*kept->graph, *graph);
        }))
      ++sharedConversions_;
    stats_.captureCost.ops += graph->captureCost.ops;
    stats_.captureCost.seconds += graph->captureCost.seconds;
    made = std::make_shared<Kept>(
        Kept{.graph = std::move(graph), .made = stats_.conversions, .comparisons = kComparisons});
    kept_.insert(kept_.begin(), made);
    boundMemory();
  } catch (const CompilesLater &) {
    --stats_.conversions; // the one that finds the graph counts
    this->count(ExitReason::CompilesLater);
  } catch (const ConversionError &error) {
    this->count(error.reason, error.what(), error.location);
    constexpr uint64_t kPatience = 3; // for arguments that share memory: the next may be apart
    bool isOfThisCall =
        error.raised || (error.reason == ExitReason::Aliasing &&
                         stats_.exits[static_cast<size_t>(ExitReason::Aliasing)] <= kPatience);
    if (!isOfThisCall && !sites_.needsSamples()) // the next call may not
      noteFailedAttempt(ExitReason::CaptureFailed);
  }
  if (made && options().log) {
    std::ostringstream line;
    line << "converted in " << std::fixed << std::setprecision(3) << turn.spent() << " s, "
         << kept_.size() << " graph(s)";
    log(line.str());
  }
  return made;
}

// Null where another thread has dropped it.
std::shared_ptr<ConvertedFunction::Kept> ConvertedFunction::shared(const Kept &kept) const {
  for (const auto &other : kept_)
    if (other.get() == &kept)
      return other;
  return nullptr;
}

std::optional<PyObject *> ConvertedFunction::run(Kept &kept, PyObject **leaves,
                                                 PyObject *const *args, size_t count,
                                                 PyObject *keywordNames, bool &ran) {
  auto held = kept.graph; // it may become a form of another meanwhile
  const ConvertedGraph &graph = *held;
  RandomState random(graph.drawsRandomNumbers);
  OpaqueRun opaque(graph.callsPython());
  if (!graph.rerouted.empty())
    opaque.makeCalls(graph);
  GraphRun outcome = runGraph(graph, leaves, opaque);
  if (outcome.status != GraphRun::Status::Done) {
    random.restore();
    opaque.restore();
  }
  switch (outcome.status) {
  case GraphRun::Status::Done:
    ++stats_.graphCalls;
    kept.lastCall = stats_.calls;
    ran = true;
    return outcome.result;
  case GraphRun::Status::Interrupted: // the exception is set, nothing was written
    return nullptr;
  case GraphRun::Status::Raised:
    if (opaque.hasLogged()) {
      ++wastedRuns_;
      this->count(ExitReason::GraphRaised, outcome.message);
      if (opaque.noteChanges(sites_))
        failed_ = shared(kept);
      return replay(opaque.takeLog(), graph, args, count, keywordNames);
    }
    ran = outcome.message.starts_with(kPathOfPython); // then it knows this call
    return fallBack(ExitReason::GraphRaised, args, count, keywordNames, outcome.message);
  case GraphRun::Status::AssertionFailed:
    ++wastedRuns_;
    this->count(ExitReason::AssertionFailed, outcome.message, outcome.location);
    if (outcome.message.ends_with(kFitsInt64))
      intsOverflow_ = true;
    if (!opaque.hasLogged())
      return std::nullopt;
    failed_ = shared(kept);
    return replay(opaque.takeLog(), graph, args, count, keywordNames);
  }
  return nullptr;
}

int ConvertedFunction::traverse(visitproc visit, void *arg) {
  Py_VISIT(function_.get());
  if (int stop = choices_->traverse(visit, arg))
    return stop;
  if (int stop = sites_.traverse(visit, arg))
    return stop;
  if (int stop = seen_.traverse(visit, arg))
    return stop;
  for (const auto &kept : kept_)
    // No other owner's references are ours to count.
    if (kept.use_count() == 1 && kept->graph.use_count() == 1)
      if (int stop = kept->graph->traverse(visit, arg))
        return stop;
  for (const Varying *values : {&varying_, &differed_, &decided_, &constants_}) {
    auto visitSlot = [&](const LeafPlace &place) {
      if (place.slot) {
        Py_VISIT(place.slot->object.get());
        Py_VISIT(place.slot->key.get());
      }
      return 0;
    };
    for (const LeafPlace &place : values->values)
      if (int stop = visitSlot(place))
        return stop;
    for (const Varying::Dimension &dimension : values->dimensions)
      if (int stop = visitSlot(dimension.place))
        return stop;
  }
  return 0;
}

} // namespace bifront
