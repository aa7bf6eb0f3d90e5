// Loops whose number of iterations only the run of the graph knows: the body is walked for any
// iteration, with what it changes as values that the loop carries, and becomes one `scf.while`.
#include "frontend/counting.h"
#include "frontend/generator_loops.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/pending.h"
#include "frontend/recursion.h"
#include "frontend/unrolling.h"
#include "frontend/way.h"

#include <algorithm>

namespace bifront {

using namespace syntax;

struct Interpreter::LoopPlan {
  const void *site;
  PyRef condition; // whether there is a first iteration
  // Runs one; whether there is another.
  std::function<PyRef()> iterate;
  // How many there are, where the body does not end the loop; null where that is not known.
  PyRef trips = {};
  const bool *endsEarly = nullptr;
  // Behind some more iterations the loop may be one of the graph.
  bool maySettleLater = false;
};

// What goes from one iteration to the next.
struct Interpreter::Carried {
  struct Place {
    PythonLog::Change change; // as it is before the loop
    Merge::Index value;
  };
  std::vector<std::pair<size_t, Merge::Index>> slots;
  std::vector<std::pair<size_t, PyRef>> poisons; // slots that nothing may be read of
  std::vector<Place> places;
};

// One attempt after another, each with what the last has found to change.
class Interpreter::LoopWalk {
public:
  LoopWalk(Interpreter &interpreter, PythonFrame &frame, const LoopPlan &plan)
      : interpreter_(interpreter), frame_(frame), plan_(plan),
        graph_(interpreter.host_.recording->graph()) {}

  // Whether this iteration is the first of a `while` that is one of the graph behind it. A counted
  // loop is better off with a path for each end, since its body may know the number.
  static bool peels(Interpreter &interpreter, const void *site, bool isFirst) {
    return isFirst && interpreter.host_.policies && interpreter.policyOf(site) == Policy::PeelFirst;
  }

  // Runs that iteration, which may end the loop by the way of a branch: `goesOn` is whether there
  // is another then. Where it is not set, the condition says so.
  static Completion peel(Interpreter &interpreter, PythonFrame &frame, const LoopBody &body,
                         const void *site, const void *end, const std::function<PyRef()> &condition,
                         PyRef &goesOn) {
    Completion completion = [&] {
      Pending pending(frame, {.kind = PendingBody::Kind::LoopBody, .site = site});
      return body();
    }();
    if (completion != Completion::LoopBodyEnd)
      return completion;
    PyRef breaks = frame.breaks;
    if (PyBool_Check(breaks.get()))
      return breaks.get() == Py_True ? Completion::Break : Completion::Normal;
    auto next = interpreter.forkValue(
        frame, end, breaks.get(), [] { return PyRef::share(Py_False); }, condition);
    if (next)
      goesOn = *next;
    else if (interpreter.truth(breaks.get()))
      return Completion::Break;
    return Completion::Normal;
  }

  // Throws where the loop cannot be one of the graph; then nothing has happened.
  void run() {
    std::vector<PyRef> before = variablesOf(frame_);
    Way last = walkFirst();
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
      Merge merge(*interpreter_.host_.recording, interpreter_.log_, interpreter_.objects_,
                  interpreter_.opaque_, historySite(), nullptr);
      merge.setOneWaySite(interpreter_.choiceAt(plan_.site));
      Carried carried = carriedBy(merge, before, last);
      start_ = merge.yields(0);
      start_.push_back(interpreter_.conditionValue(plan_.condition.get()));
      Entered entered(*this);
      Way way = walkIteration(&carried, &merge);
      auto next = yieldsOf(carried, merge, before, way);
      if (next && (!entered.grows(*next) || attempt + 1 == kMostAttempts)) {
        entered.leave();
        finish(carried, merge, way, *next);
        return;
      }
      last = std::move(way);
    }
    throw CannotMerge("what a loop changes is of another kind in each iteration");
  }

private:
  static constexpr int kMostAttempts = 6;

  // While it lives, the lanes are the loop's iterations.
  class Entered {
  public:
    explicit Entered(LoopWalk &walk) : walk_(walk) {
      Lanes &lanes = walk.interpreter_.lanes_;
      std::shared_ptr<LaneLoop> loop = lanes.makeLoop();
      for (size_t k = 0; k < walk.start_.size(); ++k)
        loop->start.push_back(walk.isTold(k) ? lanes.of(walk.start_[k]) : Example());
      loop->begins = walk.interpreter_.exampleOf(walk.plan_.condition.get());
      // An iteration that changes the same is likely to change it in the same way.
      if (walk.lanes_ && walk.lanes_->start.size() == loop->start.size()) {
        loop->next = walk.lanes_->next;
        loop->goesOn = walk.lanes_->goesOn;
      }
      walk.lanes_ = loop;
      outer_ = lanes.active();
      expand();
      lanes.enter(iterations_, loop);
    }
    ~Entered() { leave(); }
    Entered(const Entered &) = delete;

    void leave() {
      if (!std::exchange(left_, true))
        walk_.interpreter_.lanes_.leave();
    }
    // Whether the values that an iteration ends with lead to more of them.
    bool grows(const std::vector<ValueId> &next) {
      LaneLoop &loop = *walk_.lanes_;
      size_t before = iterations_.size();
      loop.next.clear();
      for (size_t k = 0; k < next.size(); ++k)
        loop.next.push_back(walk_.isTold(k) ? walk_.interpreter_.lanes_.of(next[k]) : Example());
      loop.goesOn = loop.next.back();
      loop.forgetRuns();
      expand();
      return iterations_.size() > before;
    }

  private:
    void expand() {
      constexpr size_t kMost = 512;
      iterations_.clear();
      for (const Activation *outer : outer_)
        for (Activation &iteration : walk_.lanes_->iterationsOf(*outer))
          if (iterations_.size() < kMost)
            iterations_.push_back(std::move(iteration));
    }

    LoopWalk &walk_;
    std::vector<const Activation *> outer_;
    std::deque<Activation> iterations_;
    bool left_ = false;
  };

  // Whether lanes tell what such a carried value is.
  bool isTold(size_t carried) const {
    ValueType::Kind kind = graph_.typeOf(start_[carried]).kind;
    return kind == ValueType::Kind::Object || kind == ValueType::Kind::Int ||
           kind == ValueType::Kind::Bool;
  }

  Way walkFirst() {
    PyObject *condition = plan_.condition.get();
    Lanes::Filter filter(interpreter_.lanes_, interpreter_.exampleOf(condition), true);
    return walkIteration(nullptr);
  }

  Way walkIteration(const Carried *carried, Merge *merge = nullptr) {
    bool isLong = interpreter_.host_.policies->longLoops.contains(plan_.site);
    ++interpreter_.loopWalks_;
    interpreter_.longWalks_ += isLong;
    struct Leave {
      Interpreter &interpreter;
      bool isLong;
      ~Leave() {
        --interpreter.loopWalks_;
        interpreter.longWalks_ -= isLong;
      }
    } leave{interpreter_, isLong};
    interpreter_.written_->takeBack(written_);
    size_t looks = interpreter_.looksAtMemory_.size();
    Way iteration = interpreter_.walkWay(
        frame_,
        [&](Way &way) {
          if (carried) {
            std::vector<ValueId> values = way.arguments;
            for (size_t k = 0; k < values.size(); ++k)
              interpreter_.lanes_.note(
                  values[k], [k](const Activation &iteration) { return iteration.values[k]; });
            values.pop_back();
            merge->takeResults(std::move(values), Merge::Place::InLoop);
            interpreter_.setCarried(frame_, *carried, *merge);
          }
          way.value = plan_.iterate();
          return Completion::Normal;
        },
        start_);
    interpreter_.checkMemoryStays({looks, interpreter_.looksAtMemory_.size()});
    return iteration;
  }

  Carried carriedBy(Merge &merge, const std::vector<PyRef> &before, const Way &way) {
    Carried carried;
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i].get() == way.slots[i].get())
        continue;
      try {
        carried.slots.emplace_back(i, merge.plan(before[i].get(), way.slots[i].get()));
      } catch (const CannotMerge &why) {
        carried.poisons.emplace_back(
            i, interpreter_.poison(plan_.site, Policy::PeelFirst, why.what()));
      }
    }
    for (const PythonLog::Change &change : way.changes) {
      PythonLog::Change start = change;
      interpreter_.preparePlace(start);
      start.now = interpreter_.log_.contentsAt(change);
      if (start.now && isNumpyData(start.now.get()))
        throw CannotMerge("what a loop replaces is another array in each call");
      if (change.isContainer)
        interpreter_.log_.noteFresh(change.now.get());
      carried.places.push_back({start, change.isContainer
                                           ? merge.planContents(start.now.get(), change.now.get())
                                           : merge.plan(start.now.get(), change.now.get())});
    }
    return carried;
  }

  // What the iteration ends with, in the order of the carried values; nothing where it changes
  // more than these.
  std::optional<std::vector<ValueId>> yieldsOf(const Carried &carried, Merge &merge,
                                               const std::vector<PyRef> &before, Way &way) {
    std::vector<std::pair<Merge::Index, PyObject *>> ends;
    for (size_t i = 0; i < before.size(); ++i) {
      auto found = std::find_if(carried.slots.begin(), carried.slots.end(),
                                [&](const auto &slot) { return slot.first == i; });
      bool poisoned = std::any_of(carried.poisons.begin(), carried.poisons.end(),
                                  [&](const auto &slot) { return slot.first == i; });
      if (found != carried.slots.end())
        ends.emplace_back(found->second, way.slots[i].get());
      else if (!poisoned && before[i].get() != way.slots[i].get())
        return std::nullopt;
    }
    for (const PythonLog::Change &change : way.changes) {
      auto found = std::find_if(
          carried.places.begin(), carried.places.end(),
          [&](const Carried::Place &place) { return isSamePlace(place.change, change); });
      if (found == carried.places.end())
        return std::nullopt;
      if (change.isContainer)
        interpreter_.log_.noteFresh(change.now.get());
      ends.emplace_back(found->value, change.now.get());
    }
    Recording::Scope scope(*interpreter_.host_.recording);
    graph_.reenterBlock(std::move(way.block));
    std::optional<std::vector<ValueId>> yields = merge.yieldsOf(ends);
    if (yields)
      yields->push_back(interpreter_.conditionValue(way.value.get()));
    for (ValueId value : yields.value_or(std::vector<ValueId>()))
      interpreter_.lanes_.note(value, interpreter_.lanes_.of(value)); // of constants too
    way.block = graph_.leaveBlock();
    return yields;
  }

  // Behind the first iteration no other walk knows more of which tensors the history leads to.
  const void *historySite() const {
    bool isPeeled = interpreter_.policyOf(plan_.site) >= Policy::PeelFirst;
    return isPeeled ? nullptr : interpreter_.choiceAt(plan_.site);
  }

  void finish(const Carried &carried, Merge &merge, Way &way, const std::vector<ValueId> &next) {
    std::vector<ValueId> header = graph_.enterBlock(start_);
    ValueId goesOn = header.back();
    GraphRecorder::BlockPtr headerBlock = graph_.leaveBlock();
    std::vector<ValueId> results =
        graph_.loop(start_, std::move(headerBlock), goesOn, std::move(way.block), next);
    for (size_t k = 0; k < results.size(); ++k)
      if (isTold(k))
        interpreter_.lanes_.note(results[k], [k, lanes = lanes_](const Activation &outer) {
          return lanes->endOf(outer, k);
        });
    results.pop_back();
    if (plan_.trips && !*plan_.endsEarly)
      merge.setTrips(sizeFrom(plan_.trips.get()));
    merge.takeResults(std::move(results), Merge::Place::BehindLoop);
    interpreter_.setCarried(frame_, carried, merge);
  }

  Interpreter &interpreter_;
  PythonFrame &frame_;
  const LoopPlan &plan_;
  GraphRecorder &graph_;
  const size_t written_ = interpreter_.written_->size(); // ahead of the loop
  std::vector<ValueId> start_;                           // the carried values at first
  std::shared_ptr<LaneLoop> lanes_;
};

bool Interpreter::walkLoop(PythonFrame &frame, const LoopPlan &plan) {
  try {
    LoopWalk(*this, frame, plan).run();
    return true;
  } catch (const ResultPending &) {
    refusal_ = nullptr;
    functions_.back()->noteLoopLeftOut();
    return true; // for now it has no iterations
  } catch (const CannotFork &) {
    throw;
  } catch (const std::exception &why) {
    noteOneWay("a loop", forgetFailure(why));
  }
  // Behind the first iteration it may have settled.
  Policy &policy = (*host_.policies)[plan.site];
  policy = policy < Policy::PeelFirst ? Policy::PeelFirst
           : plan.maySettleLater      ? Policy::PeelKnown
                                      : Policy::OneWay;
  return false;
}

void Interpreter::setCarried(PythonFrame &frame, const Carried &carried, Merge &merge) {
  for (const auto &[slot, value] : carried.slots)
    variableAt(frame, slot) = merge.make(value);
  for (const auto &[slot, poison] : carried.poisons)
    variableAt(frame, slot) = poison;
  for (const Carried::Place &place : carried.places)
    fillPlace(place.change, merge.make(place.value).get());
}

//===- Statements --------------------------------------------------------------------------===//

// Runs one iteration of a loop of the graph; whether there is another, by `condition` where the
// body does not end the loop: then `endsEarly` is set.
PyRef Interpreter::nextCondition(PythonFrame &frame, const LoopBody &body, const void *site,
                                 const std::function<PyRef()> &condition, bool &endsEarly) {
  auto runBody = [&] {
    Pending end(frame, {.kind = PendingBody::Kind::LoopBody});
    return body();
  };
  switch (runBody()) {
  case Completion::Normal:
  case Completion::Continue: return condition();
  case Completion::Break: endsEarly = true; return PyRef::share(Py_False);
  case Completion::Return: throw CannotMerge("a loop of the graph returns");
  case Completion::LoopBodyEnd: break;
  }
  PyRef breaks = frame.breaks;
  endsEarly = endsEarly || breaks.get() != Py_False;
  if (PyBool_Check(breaks.get()))
    return breaks.get() == Py_True ? PyRef::share(Py_False) : condition();
  auto next =
      forkValue(frame, site, breaks.get(), [] { return PyRef::share(Py_False); }, condition);
  if (!next)
    throw CannotMerge("the end of a loop is not known");
  return *next;
}

// Whether a loop is to be one of the graph, given whether there is a next iteration.
bool Interpreter::loopsInGraph(const void *site, bool isGraphCondition, bool isFirst) const {
  if (!host_.policies)
    return false;
  Policy policy = policyOf(site);
  if (policy == Policy::OneWay || (policy == Policy::PeelFirst && isFirst))
    return false;
  return isGraphCondition || (policy >= Policy::Loop && policy != Policy::PeelKnown);
}

Completion Interpreter::runLoop(PythonFrame &frame, const While &stmt) {
  auto condition = [&] { return this->condition(frame, *stmt.condition); };
  auto body = [&] { return run(frame, stmt.body); };
  bool endsEarly = false;
  PyRef peeled;   // whether the loop goes on behind its first iteration, where that may end it
  int failed = 0; // where only the graph knew whether there is another
  Unrolling unrolling(*this, stmt.otherwise.empty() ? &stmt : nullptr);
  for (bool isFirst = true;; isFirst = false) {
    PyRef goesOn = peeled ? std::exchange(peeled, {}) : condition();
    // The first iterations are those of any size.
    if (!isFirst && isGraphNumber(goesOn.get()) && policyOf(&stmt) == Policy::Whole)
      throw CannotFork(&stmt, Policy::Loop, "whether a loop goes on is known at first only");
    bool inGraph = loopsInGraph(&stmt, isGraphNumber(goesOn.get()), isFirst);
    if (inGraph && goesOn.get() != Py_False && stmt.otherwise.empty()) {
      auto iterate = [&] { return nextCondition(frame, body, &stmt.body, condition, endsEarly); };
      failed += isGraphNumber(goesOn.get());
      if (walkLoop(frame, {.site = &stmt,
                           .condition = goesOn,
                           .iterate = iterate,
                           .maySettleLater = failed < 2}))
        return Completion::Normal;
    }
    if (!truth(goesOn.get()))
      return run(frame, stmt.otherwise);
    unrolling.goesOn();
    Completion completion =
        stmt.otherwise.empty() && LoopWalk::peels(*this, &stmt, isFirst)
            ? LoopWalk::peel(*this, frame, body, &stmt, &stmt.body, condition, peeled)
            : runUnrolled(frame, body, &stmt);
    if (completion == Completion::Break)
      return Completion::Normal;
    if (completion == Completion::Return)
      return completion;
  }
}

Completion Interpreter::runUnrolled(PythonFrame &frame, const LoopBody &body, const void *site) {
  Pending end(frame, {.kind = PendingBody::Kind::UnrolledLoop, .site = site});
  return body();
}

// What stands behind a loop that has not been left: iterations for items that the call has put
// behind those of a list from before it, and `else`.
Completion Interpreter::runBehind(PythonFrame &frame, const CountedLoop &loop, bool endsEarly) {
  const Counting &counting = loop.counting;
  if (endsEarly && !counting.own.empty()) // nobody knows
    throw CannotFork(loop.site, Policy::OneWay, "a loop over a list that has grown ends early");
  for (const PyRef &item : counting.own) {
    loop.begin(item);
    Completion completion = runUnrolled(frame, loop.body, loop.site);
    counting.checkUnchanged(*this, loop.site);
    if (completion == Completion::Break || completion == Completion::Return)
      return completion == Completion::Break ? Completion::Normal : completion;
  }
  bool hasOtherwise = loop.otherwise && !loop.otherwise->empty();
  return hasOtherwise ? run(frame, *loop.otherwise) : Completion::Normal;
}

Completion Interpreter::runCounting(PythonFrame &frame, const CountedLoop &loop) {
  const Counting &counting = loop.counting;
  AddedSlots added(frame); // the number of the next iteration
  const size_t index = added.first;
  frame.slots.push_back(counting.next);
  auto condition = [&]() -> PyRef {
    PyRef goesOn = compare(counting.goesUp() ? CompareOp::Lt : CompareOp::Gt,
                           frame.slots[index].get(), counting.stop.get());
    return isGraphNumber(goesOn.get()) || PyBool_Check(goesOn.get())
               ? goesOn
               : PyRef::share(truth(goesOn.get()) ? Py_True : Py_False);
  };
  auto begin = [&] {
    PyRef now = frame.slots[index];
    frame.slots[index] = binary(BinaryOp::Add, now.get(), counting.step.get());
    loop.begin(counting.itemAt(*this, now));
  };
  bool endsEarly = false;
  auto iterate = [&] {
    begin();
    return nextCondition(frame, loop.body, loop.end, condition, endsEarly);
  };
  bool hasOtherwise = loop.otherwise && !loop.otherwise->empty();
  for (bool isFirst = true;; isFirst = false) {
    PyRef goesOn = condition();
    bool inGraph = loopsInGraph(loop.site, isGraphNumber(goesOn.get()), isFirst);
    if (inGraph && goesOn.get() != Py_False && !hasOtherwise &&
        walkLoop(frame, {loop.site, goesOn, iterate, counting.tripsLeft(*this, frame.slots[index]),
                         &endsEarly})) {
      counting.checkUnchanged(*this, loop.site);
      return runBehind(frame, loop, endsEarly);
    }
    if (counting.goesThrough(Counting::Of::Grown) &&
        (!isFirst || policyOf(loop.site) == Policy::OneWay))
      throw CannotFork(loop.site, Policy::OneWay,
                       "a list that has grown is not gone through in the graph");
    bool isList = counting.goesThrough(Counting::Of::Numbers) && isGraphNumber(goesOn.get());
    if (isList && choiceAt(loop.site) && policyOf(loop.site) == Policy::OneWay)
      throw CannotFork(loop.site, Policy::OneWay,
                       "a list of numbers is not gone through in the graph");
    if (!truth(goesOn.get()))
      return runBehind(frame, loop, endsEarly);
    begin();
    Completion completion = runUnrolled(frame, loop.body, loop.site);
    counting.checkUnchanged(*this, loop.site);
    if (completion == Completion::Break)
      return Completion::Normal;
    if (completion == Completion::Return)
      return completion;
  }
}

Completion Interpreter::runLoop(PythonFrame &frame, const For &stmt) {
  Iterable iterable;
  auto begin = [&](PyRef item) { assign(frame, *stmt.target, std::move(item)); };
  auto body = [&] { return run(frame, stmt.body); };
  if (auto counting = Counting::find(*this, frame, *stmt.iterable, &stmt, iterable))
    return runCounting(frame, {&stmt, stmt.target.get(), *counting, begin, body, &stmt.otherwise});
  if (Generator *generator = ownGenerator(iterable.object)) {
    Completion completion = runThrough(frame, *generator, {&stmt, begin, body, iterable.first});
    if (completion != Completion::Normal)
      return completion == Completion::Break ? Completion::Normal : completion;
    return run(frame, stmt.otherwise);
  }
  PyRef iterator = iterate(iterable.object.get());
  Unrolling unrolling(*this, iterable.mayCount && stmt.otherwise.empty() ? &stmt : nullptr);
  while (PyRef value = next(iterator.get())) {
    unrolling.goesOn();
    assign(frame, *stmt.target, std::move(value));
    Completion completion = runUnrolled(frame, body, &stmt);
    if (completion == Completion::Break)
      return Completion::Normal;
    if (completion == Completion::Return)
      return completion;
  }
  return run(frame, stmt.otherwise);
}

// The first clause of a list's comprehension, or of a generator that is used up, where the graph
// counts its items. `prepare` is called ahead of them. False: it does not, and `iterable` is what
// there is to iterate over.
bool Interpreter::comprehendInGraph(PythonFrame &frame, const Comprehension &comprehension,
                                    Iterable &iterable, const std::function<void()> &prepare,
                                    const std::function<void()> &element) {
  const ComprehensionClause &clause = comprehension.clauses[0];
  auto counting = Counting::find(*this, frame, *clause.iterable, &comprehension, iterable);
  Generator *generator = counting ? nullptr : ownGenerator(iterable.object);
  if (!counting && !generator)
    return false;
  prepare();
  InComprehension here(frame);
  makeCells(frame, comprehension);
  auto begin = [&](PyRef item) { assign(frame, *clause.target, std::move(item)); };
  auto body = [&] {
    comprehendItem(frame, comprehension, 0, 0, element);
    return Completion::Normal;
  };
  if (counting)
    runCounting(frame, {&comprehension, clause.target.get(), *counting, begin, body});
  else
    runThrough(frame, *generator, {&comprehension, begin, body, iterable.first});
  return true;
}

} // namespace bifront
