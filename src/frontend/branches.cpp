// Branches whose way only the run of the graph knows: both ways are walked, each into a block of
// the graph, and become one `scf.if`.
#include "frontend/interpreter.h"

#include "capture/symbolic.h"
#include "frontend/kinds.h"
#include "frontend/merge.h"

#include <ATen/autocast_mode.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

namespace bifront {

using namespace syntax;

namespace {

// Modes that a way could leave switched.
struct Modes {
  bool grad = c10::GradMode::is_enabled();
  bool inference = c10::InferenceMode::is_enabled();
  bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  caffe2::TypeMeta dtype = c10::get_default_dtype();
  bool operator==(const Modes &other) const {
    return grad == other.grad && inference == other.inference && autocast == other.autocast &&
           dtype == other.dtype;
  }
  void restore() const {
    c10::GradMode::set_enabled(grad);
    at::autocast::set_autocast_enabled(at::kCPU, autocast);
    c10::set_default_dtype(dtype);
  }
};

} // namespace

// What one way leaves behind.
struct Interpreter::Way {
  GraphRecorder::BlockPtr block{nullptr, nullptr};
  Completion completion = Completion::Normal;
  PyRef value; // of an expression
  PyRef returned;
  std::vector<PyRef> slots;
  std::vector<PythonLog::Change> changes;
};

PyRef Interpreter::conditionOf(PyObject *value) const {
  return host_.oneWay ? graphCondition(value) : PyRef();
}

std::optional<Completion> Interpreter::forkStatement(PythonFrame &frame, const If &stmt,
                                                     PyObject *condition) {
  for (bool withRest : {false, true}) {
    auto way = [&](const Body &body) {
      return [&, withRest](PyRef &) {
        Completion completion = run(frame, body);
        return completion == Completion::Normal && withRest ? runRest(frame) : completion;
      };
    };
    Way merged;
    switch (fork(frame, &stmt, condition, way(stmt.then), way(stmt.otherwise), merged)) {
    case Forked::Done: return merged.completion;
    case Forked::EndsDiffer: break; // they may end in the same way at the function's end
    case Forked::Impossible: return std::nullopt;
    }
  }
  host_.oneWay->insert(&stmt);
  return std::nullopt;
}

std::optional<PyRef> Interpreter::forkValue(PythonFrame &frame, const void *site,
                                            PyObject *condition, const std::function<PyRef()> &then,
                                            const std::function<PyRef()> &otherwise) {
  auto way = [](const std::function<PyRef()> &eval) {
    return [&eval](PyRef &value) {
      value = eval();
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
  if (host_.oneWay->contains(site))
    return Forked::Impossible;
  try {
    Way ways[] = {walkWay(frame, then), walkWay(frame, otherwise)};
    if (ways[0].completion != ways[1].completion)
      return Forked::EndsDiffer;
    mergeWays(frame, site, condition, ways[0], ways[1], merged);
    return Forked::Done;
  } catch (const PythonError &) {
    if (!PyErr_ExceptionMatches(PyExc_Exception))
      throw; // an interrupt
    PyErr_Clear();
  } catch (const CannotFork &) {
    throw;
  } catch (const std::exception &) {
    refusal_ = nullptr;
  }
  host_.oneWay->insert(site);
  return Forked::Impossible;
}

Interpreter::Way Interpreter::walkWay(PythonFrame &frame, const WayBody &body) {
  Recording &recording = *host_.recording;
  GraphRecorder &graph = recording.graph();
  Modes modes;
  std::optional<std::string> failure = recording.failure();
  Way way;
  struct TakeBack {
    Interpreter &interpreter;
    PythonFrame &frame;
    Way &way;
    const Modes &modes;
    std::vector<PyRef> slots = frame.slots;
    PyRef returned = frame.returned;
    ~TakeBack() {
      way.block = interpreter.host_.recording->graph().leaveBlock();
      interpreter.log_.rollBack(interpreter.forks_.back().mark);
      interpreter.forks_.pop_back();
      way.slots = std::exchange(frame.slots, std::move(slots));
      way.returned = std::exchange(frame.returned, std::move(returned));
      modes.restore();
    }
  };
  {
    Recording::Scope scope(recording);
    forks_.push_back({log_.mark(), frame.generator});
    graph.enterBlock();
    TakeBack takeBack{*this, frame, way, modes};
    way.completion = body(way.value);
    rethrowRefusal();
    const PythonLog::Mark &mark = forks_.back().mark;
    if (recording.failure() != failure)
      throw CannotMerge(*recording.failure());
    if (!(modes == Modes()))
      throw CannotMerge("a mode is switched on one way of a branch");
    if (log_.hasCalledSince(mark))
      throw CannotMerge("one way of a branch does what the other does not");
    way.changes = log_.changesSince(mark);
  }
  return way;
}

void Interpreter::mergeWays(PythonFrame &frame, const void *site, PyObject *condition, Way &then,
                            Way &otherwise, Way &merged) {
  Recording &recording = *host_.recording;
  GraphRecorder &graph = recording.graph();
  Merge merge(recording, log_);
  merged.completion = then.completion;
  bool returns = then.completion == Completion::Return;
  Merge::Index value = merge.plan(then.value.get(), otherwise.value.get());
  Merge::Index returned = returns ? merge.plan(then.returned.get(), otherwise.returned.get()) : 0;

  std::vector<std::optional<Merge::Index>> slots;
  std::vector<PyRef> poisons(frame.slots.size());
  for (size_t i = 0; i < frame.slots.size() && !returns; ++i) {
    slots.emplace_back();
    try {
      slots[i] = merge.plan(then.slots[i].get(), otherwise.slots[i].get());
    } catch (const CannotMerge &why) { // nobody may ever look
      poisons[i] = poison(site, why.what());
    }
  }

  // A place that one way has left alone has its old value there.
  struct Place {
    PythonLog::Change change;
    PyRef now[2];
    Merge::Index value = 0;
  };
  std::vector<Place> places;
  auto isSame = [](const PythonLog::Change &a, const PythonLog::Change &b) {
    if (a.slot.object.get() != b.slot.object.get() || a.isContainer != b.isContainer)
      return false;
    if (a.isContainer || !a.slot.key)
      return true;
    return checked(PyObject_RichCompareBool(a.slot.key.get(), b.slot.key.get(), Py_EQ)) != 0;
  };
  for (int way : {0, 1})
    for (PythonLog::Change &change : (way == 0 ? then : otherwise).changes) {
      auto found = std::find_if(places.begin(), places.end(),
                                [&](const Place &place) { return isSame(place.change, change); });
      if (found == places.end()) {
        PyRef before = log_.contentsAt(change);
        places.push_back({change, {before, before}});
        found = places.end() - 1;
      }
      found->now[way] = change.now;
    }
  for (Place &place : places) {
    if (place.change.isContainer && !log_.isFresh(place.change.slot.object.get()))
      throw CannotMerge("one way changes a container from outside");
    if (place.change.isContainer)
      for (PyRef &contents : place.now)
        log_.noteFresh(contents.get());
    else if (place.now[0].get() != place.now[1].get())
      found(place.change.slot.kind, place.change.slot.object.get(), place.change.slot.key.get(),
            log_.valueNow(place.change.slot).get());
    place.value = merge.plan(place.now[0].get(), place.now[1].get());
  }

  Way *ways[] = {&then, &otherwise};
  std::vector<ValueId> yields[2];
  for (int way : {0, 1}) {
    Recording::Scope scope(recording);
    graph.reenterBlock(std::move(ways[way]->block));
    yields[way] = merge.yields(way);
    ways[way]->block = graph.leaveBlock();
  }
  ValueId decides = SymbolicScalar::of(symbolicNumber(condition))->value();
  merge.takeResults(graph.branch(decides, std::move(then.block), yields[0],
                                 std::move(otherwise.block), yields[1]));

  merged.value = merge.make(value);
  if (returns)
    frame.returned = merge.make(returned);
  for (size_t i = 0; i < slots.size(); ++i)
    frame.slots[i] = slots[i] ? merge.make(*slots[i]) : poisons[i];
  for (const Place &place : places) {
    const Slot &slot = place.change.slot;
    PyRef now = merge.make(place.value);
    if (place.change.isContainer)
      log_.refill(slot.object.get(), now.get());
    else
      log_.write(slot.kind, slot.object.get(), slot.key.get(), now.get());
  }
}

//===- Values that are not known -----------------------------------------------------------===//

PyRef Interpreter::poison(const void *site, const std::string &why) {
  poisons_.push_back(
      {checked(PyObject_CallNoArgs(reinterpret_cast<PyObject *>(&PyBaseObject_Type))), site, why});
  return poisons_.back().object;
}

void Interpreter::refusePoison(PyObject *value) const {
  for (const Poison &poison : poisons_)
    if (poison.object.get() == value)
      throw CannotFork(poison.site, poison.why);
}

} // namespace bifront
