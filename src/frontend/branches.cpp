// Branches whose way only the run of the graph knows: both ways are walked, each into a block of
// the graph, and become one `scf.if`.
#include "frontend/interpreter.h"

#include "capture/modes.h"
#include "capture/symbolic.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"
#include "frontend/raised.h"
#include "frontend/recursion.h"
#include "frontend/stacked_items.h"
#include "frontend/way.h"
#include "support/pending_exception.h"

#include <algorithm>

namespace bifront {

using namespace syntax;

// A way or a loop could not be walked: what stopped it does not stop the program. Throws on where
// it is an interrupt.
std::string Interpreter::forgetFailure(const std::exception &why) {
  refusal_ = nullptr;
  if (!dynamic_cast<const PythonError *>(&why))
    return why.what();
  if (!PyErr_ExceptionMatches(PyExc_Exception))
    throw PythonError();
  return describeException(takeException().get());
}

void Interpreter::noteOneWay(const char *what, const std::string &why) const {
  const PythonFrame *frame = programFrame();
  if (!host_.note || !frame)
    return;
  auto *code = reinterpret_cast<PyCodeObject *>(frame->syntax.code.get());
  const char *file = PyUnicode_AsUTF8(code->co_filename);
  host_.note(std::string(file ? file : "?") + ":" + std::to_string(frame->line) + ": " + what +
             " goes one way: " + why);
}

Policy Interpreter::policyOf(const void *site) const {
  if (!host_.policies)
    return Policy::OneWay;
  auto found = host_.policies->find(site);
  return found == host_.policies->end() ? Policy::Whole : found->second;
}

PyRef Interpreter::conditionOf(PyObject *value) {
  if (!host_.policies)
    return {};
  if (holdsStacked(value))
    return conditionOf(lengthWithRows(value).get());
  return pointerOf(value) ? pointerTruth(value)
                          : letOthersRun({value}, [&] { return graphCondition(value); });
}

namespace {

// The loop that `break` leaves, where that is unrolled; else null.
const void *unrolledLoop(const PythonFrame &frame) {
  auto isLoop = [](const PendingBody &body) {
    return body.kind == PendingBody::Kind::LoopBody || body.kind == PendingBody::Kind::UnrolledLoop;
  };
  auto loop = std::find_if(frame.pending.rbegin(), frame.pending.rend(), isLoop);
  bool isUnrolled = loop != frame.pending.rend() && loop->kind == PendingBody::Kind::UnrolledLoop;
  return isUnrolled ? loop->site : nullptr;
}

} // namespace

// One way of a branch ends a loop: then it is to be one of the graph.
void Interpreter::refuseUnrolled(const PythonFrame &frame) const {
  const void *loop = unrolledLoop(frame);
  if (loop && policyOf(loop) < Policy::Loop)
    throw CannotFork(loop, Policy::Loop, "a loop ends early on one way of a branch");
  if (loop)
    throw CannotEndHere("a way of a branch leaves a loop that is unrolled");
}

std::optional<Completion> Interpreter::forkStatement(PythonFrame &frame, const void *site,
                                                     PyObject *condition, const StatementBody &then,
                                                     const StatementBody &otherwise) {
  for (bool withRest : {false, true}) {
    auto way = [&](const StatementBody &body) {
      return [&](Way &way) {
        Completion completion = body();
        if (withRest && completion == Completion::Normal)
          completion = runRest(frame);
        if (completion == Completion::LoopBodyEnd) // by branches further in
          way.value = frame.breaks;
        if (!withRest || completion == Completion::Return || completion == Completion::LoopBodyEnd)
          return completion;
        if (completion == Completion::Break)
          refuseUnrolled(frame);
        way.value = PyRef::share(completion == Completion::Break ? Py_True : Py_False);
        return Completion::LoopBodyEnd;
      };
    };
    Way merged;
    switch (fork(frame, site, condition, way(then), way(otherwise), merged)) {
    case Forked::Done: frame.breaks = merged.value; return merged.completion;
    case Forked::EndsDiffer: break; // they may end in the same way later on
    case Forked::Impossible: return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<PyRef> Interpreter::forkValue(PythonFrame &frame, const void *site,
                                            PyObject *condition, const std::function<PyRef()> &then,
                                            const std::function<PyRef()> &otherwise) {
  auto way = [](const std::function<PyRef()> &eval) {
    return [&eval](Way &way) {
      way.value = eval();
      return Completion::Normal;
    };
  };
  Way merged;
  if (fork(frame, site, condition, way(then), way(otherwise), merged) != Forked::Done)
    return std::nullopt;
  return merged.value;
}

Interpreter::Forked Interpreter::fork(PythonFrame &frame, const void *site, PyObject *condition,
                                      const WayBody &then, const WayBody &otherwise, Way &merged) {
  if (policyOf(site) == Policy::OneWay && functions_.empty())
    return Forked::Impossible;
  if (auto way = onlySeenWays_ ? decided(condition) : std::nullopt) {
    forced_ = *way;
    return Forked::Impossible;
  }
  try {
    Example example = exampleOf(condition);
    auto among = [&](const WayBody &body, bool holds) -> WayBody {
      return [&, holds](Way &way) {
        Lanes::Filter filter(lanes_, example, holds);
        return body(way);
      };
    };
    PythonLog::Mark before = log_.mark();
    std::optional<Way> walked[2];
    if (!walkBoth(frame, condition, among(then, true), among(otherwise, false), walked))
      return Forked::Impossible;
    Way ways[] = {std::move(*walked[0]), std::move(*walked[1])};
    if (ways[0].completion != ways[1].completion)
      return Forked::EndsDiffer;
    mergeWays(frame, site, condition, before, ways, merged);
    return Forked::Done;
  } catch (const CannotFork &) {
    throw;
  } catch (const CannotEndHere &why) { // another walk through here may
    refusal_ = nullptr;
    noteOneWay("a branch", why.what());
    return Forked::Impossible;
  } catch (const std::exception &why) {
    noteOneWay("a branch", forgetFailure(why));
  }
  (*host_.policies)[site] = Policy::OneWay;
  return Forked::Impossible;
}

// False where only one of them can be walked, and the other is taken not to happen.
bool Interpreter::walkBoth(PythonFrame &frame, PyObject *condition, const WayBody &then,
                           const WayBody &otherwise, std::optional<Way> (&ways)[2]) {
  Example example = exampleOf(condition);
  std::exception_ptr pending;
  std::string whyNot;
  FunctionWalk *function = functions_.empty() ? nullptr : functions_.back();
  int leftOut = function ? function->loopsLeftOut() : 0;
  for (int way : {0, 1}) {
    try {
      ways[way] = walkWay(frame, way == 0 ? then : otherwise);
    } catch (const ResultPending &) {
      refusal_ = nullptr;
      pending = std::current_exception();
    } catch (const CannotFork &) {
      throw;
    } catch (const std::exception &why) { // nothing foresees which way each of the calls goes
      bool ends = dynamic_cast<const Raised *>(&why) && host_.sites &&
                  !host_.sites->functions().empty() && !mayBeCaught(&frame);
      whyNot = forgetFailure(why); // ahead of the examples, which clear what is pending
      if (function && function->loopsLeftOut() > leftOut) {
        pending = std::make_exception_ptr(ResultPending(function->site()));
        continue;
      }
      bool isTaken = !example || lanes_.waysOf(example).taken[1 - way];
      if (isTaken && dynamic_cast<const CannotEndHere *>(&why))
        throw;
      if (isTaken && !ends) // behind opaque calls nobody foresees whether it ends so
        throw CannotMerge(whyNot);
    }
  }
  if (ways[0] && ways[1])
    return true;
  if (!ways[0] && !ways[1] && pending)
    std::rethrow_exception(pending);
  if (!ways[0] && !ways[1])
    throw CannotMerge(whyNot);
  forced_ = ways[0].has_value();
  if (function)
    function->noteWayLeftOut();
  lanes_.restrictTo(example, *forced_);
  if (!pending)
    assertWay(condition, *forced_, whyNot);
  return false;
}

Interpreter::Way Interpreter::walkWay(PythonFrame &frame, const WayBody &body,
                                      std::span<const ValueId> first) {
  Recording &recording = *host_.recording;
  GraphRecorder &graph = recording.graph();
  GlobalModes modes = GlobalModes::now();
  std::optional<std::string> failure = recording.failure();
  Way way;
  struct TakeBack {
    Interpreter &interpreter;
    PythonFrame &frame;
    Way &way;
    ModesGuard modes = {};
    std::vector<PyRef> variables = variablesOf(frame);
    PyRef returned = frame.returned;
    int line = frame.line; // by which later calls know a decision
    ~TakeBack() {
      PendingException ofTheWay;
      way.block = interpreter.host_.recording->graph().leaveBlock();
      interpreter.log_.rollBack(interpreter.forks_.back().mark);
      interpreter.forks_.pop_back();
      way.slots = variablesOf(frame);
      setVariables(frame, variables);
      way.returned = std::exchange(frame.returned, std::move(returned));
      frame.line = line;
    }
  };
  {
    Recording::Scope scope(recording);
    forks_.push_back({log_.mark(), frame.generator});
    way.arguments = graph.enterBlock(first);
    TakeBack takeBack{*this, frame, way};
    way.completion = body(way);
    rethrowRefusal();
    const PythonLog::Mark &mark = forks_.back().mark;
    if (recording.failure() != failure)
      throw CannotMerge(*recording.failure());
    if (GlobalModes::now() != modes)
      throw CannotMerge("a mode is switched on one way of a branch");
    if (log_.hasCalledSince(mark))
      throw CannotMerge("one way of a branch does what the other does not");
    way.changes = log_.changesSince(mark);
  }
  return way;
}

namespace {

// Whether this is the first iteration of a loop of the graph, ahead of it. To keep one way of a
// branch there would keep it in the loop.
bool isPeeled(const PythonFrame *frame) {
  for (; frame; frame = frame->caller)
    for (const PendingBody &body : frame->pending)
      if (body.kind == PendingBody::Kind::LoopBody && body.site)
        return true;
  return false;
}

} // namespace

void Interpreter::mergeWays(PythonFrame &frame, const void *site, PyObject *condition,
                            const PythonLog::Mark &before, Way (&ways)[2], Way &merged) {
  Recording &recording = *host_.recording;
  GraphRecorder &graph = recording.graph();
  Way &then = ways[0], &otherwise = ways[1];
  Merge merge(recording, log_, objects_, opaque_, isPeeled(&frame) ? nullptr : choiceAt(site),
              &before);
  merge.setOneWaySite(choiceAt(site));
  merged.completion = then.completion;
  bool returns = then.completion == Completion::Return;
  Merge::Index value = merge.plan(then.value.get(), otherwise.value.get());
  Merge::Index returned = returns ? merge.plan(then.returned.get(), otherwise.returned.get()) : 0;

  size_t firstSlot = returns ? frame.slots.size() : 0; // nobody will look at the frame's own
  std::vector<std::optional<Merge::Index>> slots(then.slots.size());
  std::vector<PyRef> poisons(then.slots.size());
  for (size_t i = firstSlot; i < slots.size(); ++i) {
    try {
      slots[i] = merge.plan(then.slots[i].get(), otherwise.slots[i].get());
    } catch (const CannotMerge &why) { // nobody may ever look
      poisons[i] = poison(site, Policy::OneWay, why.what());
    }
  }

  // A place that one way has left alone has its old value there.
  struct Place {
    PythonLog::Change change;
    PyRef now[2];
    Merge::Index value = 0;
  };
  std::vector<Place> places;
  for (int way : {0, 1})
    for (PythonLog::Change &change : (way == 0 ? then : otherwise).changes) {
      auto found = std::find_if(places.begin(), places.end(), [&](const Place &place) {
        return isSamePlace(place.change, change);
      });
      if (found == places.end()) {
        PyRef now = log_.contentsAt(change);
        places.push_back({change, {now, now}});
        found = places.end() - 1;
      }
      found->now[way] = change.now;
    }
  for (Place &place : places) {
    size_t reads = log_.numReads();
    if (place.change.isContainer || place.now[0].get() != place.now[1].get())
      preparePlace(place.change);
    if (place.change.isContainer)
      for (PyRef &contents : place.now)
        log_.noteFresh(contents.get());
    auto isData = [](const PyRef &value) { return value && isNumpyData(value.get()); };
    bool wasArray = isData(place.now[0]) || isData(place.now[1]);
    if (wasArray && log_.numReads() > reads)
      throw CannotFork(site, Policy::OneWay, "what one way replaces is another array in each call");
    try {
      place.value = place.change.isContainer
                        ? merge.planContents(place.now[0].get(), place.now[1].get())
                        : merge.plan(place.now[0].get(), place.now[1].get());
    } catch (const CannotMerge &why) {
      if (log_.numReads() == reads)
        throw;
      // The one way may not read what was there before, of which nothing is to be assumed then.
      throw CannotFork(site, Policy::OneWay, why.what());
    }
  }

  std::vector<ValueId> yields[2];
  for (int way : {0, 1}) {
    Recording::Scope scope(recording);
    graph.reenterBlock(std::move(ways[way].block));
    yields[way] = merge.yields(way);
    for (ValueId value : yields[way])
      lanes_.note(value, lanes_.of(value)); // of constants, while the block is open
    ways[way].block = graph.leaveBlock();
  }
  std::vector<ValueId> results = graph.branch(conditionValue(condition), std::move(then.block),
                                              yields[0], std::move(otherwise.block), yields[1]);
  Example example = exampleOf(condition);
  for (size_t i = 0; i < results.size(); ++i)
    lanes_.noteMerged(results[i], example, yields[0][i], yields[1][i]);
  merge.takeResults(std::move(results), Merge::Place::BehindBranch);

  for (auto &[result, tensors] : merge.tensors())
    eitherTensors_[result] = {PyRef::share(condition), {tensors.first, tensors.second}};
  merged.value = merge.make(value);
  if (returns)
    frame.returned = merge.make(returned);
  for (size_t i = firstSlot; i < slots.size(); ++i)
    variableAt(frame, i) = slots[i] ? merge.make(*slots[i]) : poisons[i];
  for (const Place &place : places)
    fillPlace(place.change, merge.make(place.value).get());
}

// What was there before counts, where the run may not change it.
void Interpreter::preparePlace(const PythonLog::Change &place) {
  PyObject *object = place.slot.object.get();
  if (!place.isContainer)
    found(place.slot.kind, object, place.slot.key.get(), log_.valueNow(place.slot).get());
  else if (!log_.isFresh(object))
    throw CannotMerge("a container from outside is changed on one way, or in a loop");
}

void Interpreter::fillPlace(const PythonLog::Change &place, PyObject *value) {
  const Slot &slot = place.slot;
  if (place.isContainer)
    log_.refill(slot.object.get(), value);
  else
    log_.write(slot.kind, slot.object.get(), slot.key.get(), value);
}

PyRef Interpreter::condition(PythonFrame &frame, const Expr &expr) {
  if (host_.policies) {
    if (auto *operation = std::get_if<BoolOperation>(&expr.node))
      return conditionFrom(frame, *operation, 0);
    if (auto *comparison = std::get_if<Comparison>(&expr.node))
      return conditionFrom(frame, *comparison, eval(frame, *comparison->first), 0);
    auto *negation = std::get_if<Unary>(&expr.node);
    if (negation && negation->op == UnaryOp::Not)
      return negated(condition(frame, *negation->operand).get());
  }
  return conditionOrTruth(eval(frame, expr).get());
}

PyRef Interpreter::conditionOrTruth(PyObject *value) {
  PyRef number = conditionOf(value);
  return number ? number : PyRef::share(truth(value) ? Py_True : Py_False);
}

// Of a chain from its comparison with `left` on.
PyRef Interpreter::conditionFrom(PythonFrame &frame, const Comparison &comparison,
                                 const PyRef &left, size_t first) {
  const Expr &operand = *comparison.rest[first];
  PyRef right = eval(frame, operand);
  PyRef holds = conditionOrTruth(compare(comparison.ops[first], left.get(), right.get()).get());
  if (first + 1 == comparison.ops.size())
    return holds;
  auto here = [] { return PyRef::share(Py_False); };
  auto rest = [&] { return conditionFrom(frame, comparison, right, first + 1); };
  if (isGraphNumber(holds.get()))
    if (auto forked = forkValue(frame, &operand, holds.get(), rest, here))
      return *forked;
  return truth(holds.get()) ? rest() : here();
}

PyRef Interpreter::conditionFrom(PythonFrame &frame, const BoolOperation &operation, size_t first) {
  const Expr &operand = *operation.values[first];
  PyRef holds = condition(frame, operand);
  if (first + 1 == operation.values.size())
    return holds;
  auto here = [&] { return PyRef::share(operation.isAnd ? Py_False : Py_True); };
  auto rest = [&] { return conditionFrom(frame, operation, first + 1); };
  if (isGraphNumber(holds.get())) {
    auto forked = operation.isAnd ? forkValue(frame, &operand, holds.get(), rest, here)
                                  : forkValue(frame, &operand, holds.get(), here, rest);
    if (forked)
      return *forked;
  }
  return truth(holds.get()) == operation.isAnd ? rest() : here();
}

// A bool of Python or of the graph, as a value of the graph.
ValueId Interpreter::conditionValue(PyObject *condition) const {
  if (PyBool_Check(condition))
    return host_.recording->graph().constantBool(condition == Py_True);
  return SymbolicScalar::of(symbolicNumber(condition))->value();
}

//===- Values that are not known -----------------------------------------------------------===//

PyRef Interpreter::poison(const void *site, Policy instead, const std::string &why) {
  auto *type = reinterpret_cast<PyObject *>(&PyBaseObject_Type);
  poisons_.push_back({checked(PyObject_CallNoArgs(type)), site, instead, why});
  return poisons_.back().object;
}

void Interpreter::refusePoison(PyObject *value) const {
  for (const Poison &poison : poisons_)
    if (poison.object.get() == value)
      throw CannotFork(poison.site, poison.instead, poison.why);
}

} // namespace bifront
