#include "frontend/recursion.h"

#include "capture/python_values.h"
#include "capture/recording.h"
#include "frontend/kinds.h"
#include "frontend/pointers.h"
#include "frontend/way.h"

#include <algorithm>
#include <set>
#include <utility>

namespace bifront {

using namespace syntax;

struct Interpreter::FunctionWalk::ArgumentsVary : CannotFork {
  explicit ArgumentsVary(const void *site)
      : CannotFork(site, Policy::Unrolled, "a function calls itself with other arguments") {}
};

namespace {

size_t numParameters(const Function &syntax) {
  auto *code = reinterpret_cast<PyCodeObject *>(syntax.code.get());
  return code->co_argcount + code->co_kwonlyargcount + ((code->co_flags & CO_VARARGS) != 0) +
         ((code->co_flags & CO_VARKEYWORDS) != 0);
}

} // namespace

//===- One function ------------------------------------------------------------------------===//

Interpreter::FunctionWalk::FunctionWalk(Interpreter &interpreter, PythonFrame &frame)
    : interpreter_(interpreter), frame_(frame), function_(PyRef::share(frame.function)),
      site_(&frame.syntax), graph_(interpreter.host_.recording->graph()),
      before_(interpreter.log_.mark()), outer_(parametersOf(frame)), inner_(outer_),
      slots_(frame.slots), definedAt_(before_) {
  auto *code = reinterpret_cast<PyCodeObject *>(frame.syntax.code.get());
  const char *name = PyUnicode_AsUTF8(code->co_name);
  name_ = graph_.newFunction(name ? name : "function");
}

std::vector<PyRef> Interpreter::FunctionWalk::parametersOf(const PythonFrame &frame) const {
  std::vector<PyRef> values(frame.slots.begin(),
                            frame.slots.begin() +
                                static_cast<ptrdiff_t>(numParameters(frame.syntax)));
  for (const auto &[slot, cell] : frame.syntax.cellParameters)
    values[slot] = PyRef::share(PyCell_GET(frame.cells[cell].get()));
  return values;
}

void Interpreter::FunctionWalk::setParameter(size_t i, const PyRef &value) {
  for (const auto &[slot, cell] : frame_.syntax.cellParameters)
    if (slot == i) {
      PyCell_Set(frame_.cells[cell].get(), value.get());
      return;
    }
  frame_.slots[i] = value;
}

Interpreter::Way Interpreter::FunctionWalk::walkBody() {
  parameters_ =
      std::make_unique<Merge>(*interpreter_.host_.recording, interpreter_.log_,
                              interpreter_.objects_, interpreter_.opaque_, nullptr, nullptr);
  values_.clear();
  for (size_t i = 0; i < outer_.size(); ++i)
    values_.push_back(parameters_->plan(outer_[i].get(), inner_[i].get()));
  for (Place &place : places_)
    place.given = parameters_->planRows(place.change.now.get(), place.inner.get());
  start_ = parameters_->yields(0);
  startLanes();
  struct Entered {
    FunctionWalk &walk;
    // What the outermost call finds says nothing of the others.
    decltype(Recording::foresee) foresee = {};
    explicit Entered(FunctionWalk &walk) : walk(walk) {
      walk.interpreter_.functions_.push_back(&walk);
      walk.interpreter_.lanes_.enter(walk.activations_);
      std::swap(walk.interpreter_.host_.recording->foresee, foresee);
    }
    ~Entered() {
      std::swap(walk.interpreter_.host_.recording->foresee, foresee);
      walk.interpreter_.lanes_.leave();
      walk.interpreter_.functions_.pop_back();
      walk.frame_.slots = walk.slots_;
      walk.frame_.returned = {};
      walk.frame_.pending.clear();
      for (size_t i = 0; i < walk.outer_.size(); ++i)
        walk.setParameter(i, walk.outer_[i]);
    }
  } entered(*this);
  looks_.first = interpreter_.looksAtMemory_.size();
  Way body = interpreter_.walkWay(
      frame_,
      [&](Way &way) {
        for (size_t k = 0; k < way.arguments.size(); ++k)
          interpreter_.lanes_.note(
              way.arguments[k], [k](const Activation &activation) { return activation.values[k]; });
        parameters_->takeResults(way.arguments, Merge::Place::OfFunction);
        parameterValues_ = way.arguments;
        for (size_t i = 0; i < values_.size(); ++i)
          setParameter(i, parameters_->make(values_[i]));
        for (const Place &place : places_)
          interpreter_.fillPlace(place.change, parameters_->make(place.given).get());
        bodyDepth_ = interpreter_.depth_ + 1;
        way.value = valueOfBody();
        return Completion::Return;
      },
      start_);
  looks_.second = interpreter_.looksAtMemory_.size();
  interpreter_.checkMemoryStays(looks_);
  return body;
}

PyRef Interpreter::FunctionWalk::valueOfBody() {
  int leftOut = loopsLeftOut_;
  try {
    return interpreter_.runBody(frame_);
  } catch (const CannotFork &) {
    throw;
  } catch (const std::exception &why) {
    std::string reason = interpreter_.forgetFailure(why);
    if (loopsLeftOut_ > leftOut)
      throw ResultPending(site());
    throw CannotMerge(reason);
  }
}

// The calls that the outermost one is known to lead to.
void Interpreter::FunctionWalk::startLanes() {
  sites_.clear();
  leavesOut_ = false;
  if (!activations_.empty())
    return;
  Lanes &lanes = interpreter_.lanes_;
  for (const Activation *outer : lanes.active()) {
    Activation activation{outer, {}};
    for (ValueId value : start_) {
      Example example = lanes.of(value);
      activation.values.push_back(example ? example(*outer) : PyRef());
    }
    activations_.push_back(std::move(activation));
  }
}

// Those that these lead to in turn. Whether there are any that were not known.
bool Interpreter::FunctionWalk::growLanes() {
  constexpr size_t kMost = 512; // they are examples, after all
  auto keyOf = [](const Activation &activation) {
    std::vector<const void *> key{activation.outer};
    for (const PyRef &value : activation.values)
      key.push_back(value.get());
    return key;
  };
  std::set<std::vector<const void *>> known;
  for (const Activation &activation : activations_)
    known.insert(keyOf(activation));
  size_t before = activations_.size();
  for (size_t i = 0; i < activations_.size() && activations_.size() < kMost; ++i)
    for (const CallSite &site : sites_)
      site.path.follow(activations_[i], [&](const Activation &at) {
        Activation next{activations_[i].outer, {}};
        bool isKnown = true;
        for (size_t k = 0; k < site.operands.size(); ++k) {
          next.values.push_back(site.operands[k] && isObject(k) ? site.operands[k](at) : PyRef());
          isKnown = isKnown && (next.values[k] || !isObject(k));
        }
        if (isKnown && activations_.size() < kMost && known.insert(keyOf(next)).second)
          activations_.push_back(std::move(next));
      });
  return activations_.size() > before;
}

// Of which lanes tell: of what opaque calls return, one sample stands for all.
bool Interpreter::FunctionWalk::isObject(size_t operand) const {
  return graph_.typeOf(start_[operand]).kind == ValueType::Kind::Object &&
         !interpreter_.opaque_.find(parameterValues_[operand]);
}

// Whether all that the walk took for granted is as it found it; otherwise the next one knows more.
bool Interpreter::FunctionWalk::settles(Way &way) {
  if (findPlaces(way)) { // which the calls of itself knew nothing of
    results_ = nullptr;
    return false;
  }
  Recording &recording = *interpreter_.host_.recording;
  if (hasBase()) {
    Recording::Scope scope(recording);
    results_->takeResults(std::vector<ValueId>(results_->resultTypes().size()),
                          Merge::Place::OfFunction);
    graph_.reenterBlock(std::move(way.block));
    Ends ends{{result_, way.value.get()}};
    for (const Place &place : places_)
      ends.emplace_back(place.left, changeAt(way, place)->now.get());
    auto yields = results_->yieldsOf(ends);
    way.block = graph_.leaveBlock();
    if (yields) {
      returns_ = *yields;
      return true;
    }
  }
  bool isFirst = !hasBase();
  results_ = std::make_unique<Merge>(recording, interpreter_.log_, interpreter_.objects_,
                                     interpreter_.opaque_, nullptr, &before_);
  if (isFirst)
    base_ = way.value;
  result_ =
      isFirst ? results_->planForm(base_.get()) : results_->plan(base_.get(), way.value.get());
  for (Place &place : places_) {
    PyRef left = changeAt(way, place)->now;
    if (isFirst)
      place.base = left;
    place.left = results_->planRows(place.base.get(), left.get());
  }
  return false;
}

//===- Lists that the calls have in common -------------------------------------------------===//

// Whether the walk has changed lists that were not known to be changed.
bool Interpreter::FunctionWalk::findPlaces(const Way &way) {
  size_t before = places_.size();
  for (const PythonLog::Change &change : way.changes) {
    if (!change.isContainer || !PyList_CheckExact(change.slot.object.get()) ||
        !interpreter_.log_.isFresh(change.slot.object.get()))
      throw CannotMerge("a function that calls itself changes Python's values");
    interpreter_.log_.noteFresh(change.now.get());
    if (std::any_of(places_.begin(), places_.end(),
                    [&](const Place &place) { return isSamePlace(place.change, change); }))
      continue;
    places_.push_back({change, change.now, {}});
    places_.back().change.now = interpreter_.log_.contentsAt(change);
  }
  return places_.size() > before;
}

const PythonLog::Change *Interpreter::FunctionWalk::changeAt(const Way &way,
                                                             const Place &place) const {
  auto found =
      std::find_if(way.changes.begin(), way.changes.end(), [&](const PythonLog::Change &change) {
        return isSamePlace(place.change, change);
      });
  if (found == way.changes.end())
    throw CannotMerge("a function that calls itself changes a list at some levels only");
  return &*found;
}

std::vector<PyRef> Interpreter::FunctionWalk::contentsOfPlaces() const {
  std::vector<PyRef> contents;
  for (const Place &place : places_) {
    contents.push_back(interpreter_.log_.contentsAt(place.change));
    interpreter_.log_.noteFresh(contents.back().get());
  }
  return contents;
}

// A call has given these.
void Interpreter::FunctionWalk::leave(std::vector<ValueId> results) {
  results_->takeResults(std::move(results), Merge::Place::OfFunction, parameters_->histories());
  for (const Place &place : places_)
    interpreter_.fillPlace(place.change, results_->make(place.left).get());
}

// Since the function was defined.
bool Interpreter::FunctionWalk::changesOnlyPlaces() const {
  std::vector<PythonLog::Change> changes = interpreter_.log_.changesSince(definedAt_);
  return std::all_of(changes.begin(), changes.end(), [&](const PythonLog::Change &change) {
    return std::any_of(places_.begin(), places_.end(),
                       [&](const Place &place) { return isSamePlace(place.change, change); });
  });
}

PyRef Interpreter::FunctionWalk::finish(Way &way) {
  graph_.defineFunction(name_, std::move(way.block), returns_);
  leave(graph_.callFunction(name_, start_));
  PyRef result = results_->make(result_);
  definedAt_ = interpreter_.log_.mark();
  return result;
}

std::optional<PyRef> Interpreter::FunctionWalk::callAgain(const PythonFrame &frame) {
  PythonLog &log = interpreter_.log_;
  if (leavesOut_ || !interpreter_.forks_.empty() || GlobalModes::now() != modes_ ||
      log.hasCalledSince(definedAt_) || !changesOnlyPlaces() ||
      interpreter_.memoryHasChanged(looks_))
    return std::nullopt;
  auto operands = operandsFor(parametersOf(frame), contentsOfPlaces());
  if (!operands)
    return std::nullopt;
  leave(graph_.callFunction(name_, *operands));
  return results_->make(result_);
}

PyRef Interpreter::FunctionWalk::run() {
  constexpr int kMostAttempts = 16;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    try {
      Way way = walkBody();
      bool grew = growLanes();
      if (settles(way) && (!grew || attempt + 1 == kMostAttempts))
        return finish(way);
    } catch (const ArgumentsVary &varying) {
      if (varying.site != site())
        throw;
      interpreter_.refusal_ = nullptr;
      activations_.clear();
    } catch (const ResultPending &pending) {
      if (pending.site != site())
        throw;
      interpreter_.refusal_ = nullptr;
      if (!growLanes())
        throw CannotMerge(pending.what());
    } catch (const CannotMerge &) { // which more lanes may tell more of
      if (attempt + 1 == kMostAttempts || !growLanes())
        throw;
      interpreter_.refusal_ = nullptr;
    }
  }
  throw CannotMerge("a function gives, or is given, values of other kinds at each level");
}

// Nothing where they are of another form than those that the walk was made for.
std::optional<std::vector<ValueId>>
Interpreter::FunctionWalk::operandsFor(const std::vector<PyRef> &arguments,
                                       const std::vector<PyRef> &contents) {
  Ends ends;
  for (size_t i = 0; i < arguments.size(); ++i)
    ends.emplace_back(values_[i], arguments[i].get());
  for (size_t i = 0; i < contents.size(); ++i)
    ends.emplace_back(places_[i].given, contents[i].get());
  return parameters_->yieldsOf(ends);
}

PyRef Interpreter::FunctionWalk::callItself(PythonFrame &frame) {
  auto frames = static_cast<uint32_t>(interpreter_.depth_ - bodyDepth_ + 1);
  if (frames > 1) // with calls of C in between, which count as well
    ++frames;
  interpreter_.framesPerCall_ = std::max(interpreter_.framesPerCall_, frames);
  std::vector<PyRef> arguments = parametersOf(frame), contents = contentsOfPlaces();
  auto operands = operandsFor(arguments, contents);
  if (!operands) {
    inner_ = std::move(arguments);
    for (size_t i = 0; i < contents.size(); ++i)
      places_[i].inner = std::move(contents[i]);
    throw ArgumentsVary(site());
  }
  CallSite made{interpreter_.lanes_.path(), {}};
  for (ValueId operand : *operands)
    made.operands.push_back(interpreter_.lanes_.of(operand));
  sites_.push_back(std::move(made));
  if (!hasBase())
    throw ResultPending(site());
  leave(graph_.callItself(name_, *operands, results_->resultTypes()));
  return results_->make(result_);
}

//===- Calls -------------------------------------------------------------------------------===//

// To an object that is another one in each call.
bool Interpreter::hasPointer(const PythonFrame &frame) const {
  auto isOne = [&](PyObject *object) {
    auto pointer = pointerOf(object);
    return pointer && !opaque_.find(*pointer);
  };
  const auto &cells = frame.syntax.cellParameters;
  return std::any_of(frame.slots.begin(), frame.slots.end(),
                     [&](const PyRef &value) { return isOne(value.get()); }) ||
         std::any_of(cells.begin(), cells.end(), [&](const auto &parameter) {
           return isOne(PyCell_GET(frame.cells[parameter.second].get()));
         });
}

// Of a function that is already being run, on a way of a branch that it has led to: each call would
// be one more.
void Interpreter::detectRecursion(const PythonFrame &frame) const {
  auto *code = reinterpret_cast<PyCodeObject *>(frame.syntax.code.get());
  const char *file = PyUnicode_AsUTF8(code->co_filename);
  if (policyOf(&frame.syntax) == Policy::Unrolled || !file || isLibraryFile(file))
    return;
  for (const PythonFrame *outer = frame_; outer; outer = outer->caller)
    if (outer->function == frame.function && (hasPointer(frame) || forks_.size() > outer->forks))
      throw CannotFork(&frame.syntax, Policy::Function, "a function calls itself");
}

std::optional<PyRef> Interpreter::callInGraph(PythonFrame &frame) {
  if (policyOf(&frame.syntax) != Policy::Function)
    return std::nullopt;
  for (FunctionWalk *walk : functions_)
    if (walk->function() == frame.function) {
      if (walk != functions_.back())
        throw CannotFork(functions_.back()->site(), Policy::Unrolled,
                         "functions of the graph call each other");
      return walk->callItself(frame);
    }
  for (const auto &known : definedFunctions_)
    if (known->function() == frame.function)
      if (auto result = known->callAgain(frame))
        return result;
  for (bool before = onlySeenWays_;;) {
    try {
      auto walk = std::make_unique<FunctionWalk>(*this, frame);
      PyRef result = walk->run();
      onlySeenWays_ = before;
      if (forks_.empty())
        definedFunctions_.push_back(std::move(walk));
      return result;
    } catch (const CannotFork &) {
      onlySeenWays_ = before;
      throw;
    } catch (const std::exception &why) {
      std::string reason = forgetFailure(why);
      noteOneWay("a function that calls itself", reason);
      if (!std::exchange(onlySeenWays_, true))
        continue; // the others may be what cannot be merged
      onlySeenWays_ = before;
      if (hasPointer(frame)) // each object would be unrolled as this one is
        throw CannotInterpret(reason);
      break;
    }
  }
  (*host_.policies)[&frame.syntax] = Policy::Unrolled;
  return std::nullopt;
}

void Interpreter::assertWay(PyObject *condition, bool holds, const std::string &why) {
  GraphRecorder &graph = host_.recording->graph();
  ValueId value = conditionValue(condition);
  if (!holds)
    value = graph.scalar(ScalarOp::Not, {&value, 1});
  graph.assertTrue(value, "a branch goes the way that can be walked: " + why);
}

} // namespace bifront
