// What values of the graph have been seen to be. A function or a loop of the graph is walked once
// for all its runs; a lane is one of these runs, as this call will have it, as far as Python's
// values tell. Lanes are hints: what follows from them is asserted where the graph runs.
#pragma once

#include "ir/graph_recorder.h"
#include "support/py_ref.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace bifront {

// One run of a function, inside one of the function around it.
struct Activation {
  const Activation *outer = nullptr;
  std::vector<PyRef> values = {}; // of its parameters; null where they are not known
  uint64_t run = newRun();        // no other one's, but a copy's

  static uint64_t newRun();
};

// What a value is in a lane; null: nobody knows.
using Example = std::function<PyRef(const Activation &)>;

// With which truth each of them is to hold.
using LaneConditions = std::vector<std::pair<Example, bool>>;

// The iterations of a loop, told from what it begins with and what one makes of what it is given.
struct LaneLoop {
  // `stepsLeft`: how many more iterations may be told of, of all loops together.
  explicit LaneLoop(std::shared_ptr<size_t> stepsLeft) : stepsLeft_(std::move(stepsLeft)) {}

  std::vector<Example> start = {}; // of the values that it carries, in the run around it
  Example begins = {};             // whether there is an iteration
  std::vector<Example> next = {};  // in an iteration; empty while that is not known
  Example goesOn = {};

  std::deque<Activation> iterationsOf(const Activation &outer) const;
  // What it ends with; null where nobody knows.
  PyRef endOf(const Activation &outer, size_t value) const;
  // To be called when what is above has changed.
  void forgetRuns() { runs_.clear(); }

private:
  bool step(std::vector<PyRef> &values, const Activation &iteration) const;
  std::deque<Activation> iterate(const Activation &outer) const;
  const std::deque<Activation> &runOf(const Activation &outer) const;

  std::shared_ptr<size_t> stepsLeft_;
  // The iterations that were told once, by the run of the code around: what follows the loop, or is
  // computed from one that follows it, asks for each value.
  mutable std::unordered_map<uint64_t, std::deque<Activation>> runs_;
};

// Where the walk is within the function that is being walked: the loops around, and under which
// conditions it came there.
struct LanePath {
  struct Part {
    std::shared_ptr<const LaneLoop> loop; // null for the function
    LaneConditions conditions;
  };
  std::vector<Part> parts;

  // Calls `visit` with each time that a run of the function comes there.
  void follow(const Activation &run, const std::function<void(const Activation &)> &visit,
              size_t part = 0) const;
};

class Lanes {
public:
  // `constant`: the object that a value always is; null for other values.
  explicit Lanes(std::function<PyRef(ValueId)> constant);

  // From enter() to leave() values belong to runs of a function, or to iterations of a loop.
  void enter(const std::deque<Activation> &activations,
             std::shared_ptr<const LaneLoop> loop = nullptr);
  void leave();
  LanePath path() const;

  void note(ValueId value, Example example);
  // As a function of the innermost runs; null where nothing is known.
  Example of(ValueId value) const;
  // A value that is `then` or `otherwise`, by a condition.
  void noteMerged(ValueId value, const Example &condition, ValueId then, ValueId otherwise);

  // While it lives, only the lanes count where a condition holds, or is not known.
  class Filter {
  public:
    Filter(Lanes &lanes, Example condition, bool holds);
    ~Filter();
    Filter(const Filter &) = delete;

  private:
    Lanes &lanes_;
    size_t before_;
  };
  // The same up to the end of the filter, or the function, around it.
  void restrictTo(Example condition, bool holds) {
    levels_.back().conditions.emplace_back(std::move(condition), holds);
  }
  const LaneConditions &conditions() const { return levels_.back().conditions; }
  static bool hold(const LaneConditions &conditions, const Activation &activation);

  std::shared_ptr<LaneLoop> makeLoop() const { return std::make_shared<LaneLoop>(stepsLeft_); }
  std::vector<const Activation *> active() const;
  // What the value is in these, each object once.
  std::vector<PyRef> seen(ValueId value) const;
  // Which ways of a branch lanes take: false, true.
  struct Ways {
    bool taken[2] = {false, false};
  };
  Ways waysOf(const Example &condition) const;

private:
  struct Level {
    const std::deque<Activation> *activations;
    std::shared_ptr<const LaneLoop> loop = nullptr;
    LaneConditions conditions = {};
  };
  struct Known {
    size_t level;
    Example example;
  };
  static constexpr size_t kMostSteps = 16384; // loops in loops in loops would never end

  std::function<PyRef(ValueId)> constant_;
  std::shared_ptr<size_t> stepsLeft_ = std::make_shared<size_t>(kMostSteps);
  std::deque<Activation> outermost_;
  std::vector<Level> levels_;
  std::map<ValueId, Known> known_;
};

} // namespace bifront
