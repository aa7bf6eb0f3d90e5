#include "frontend/lanes.h"

#include <set>

namespace bifront {

uint64_t Activation::newRun() {
  static uint64_t last = 0; // whoever walks has the interpreter's lock
  return ++last;
}

namespace {

// Asked by many that are computed from it, for the same run one after the other. Copies share it:
// each holds what it is computed from, perhaps twice, and so on.
Example remembering(Example example) {
  struct Told {
    Example example;
    uint64_t run = 0;
    PyRef object = {};
  };
  return [told = std::make_shared<Told>(std::move(example))](const Activation &of) {
    if (told->run != of.run) {
      PyRef object = told->example(of);
      told->run = of.run;
      told->object = std::move(object);
    }
    return told->object;
  };
}

} // namespace

//===- Loops -------------------------------------------------------------------------------===//

// What the next iteration begins with. False where there is none, or none that anything is known
// of.
bool LaneLoop::step(std::vector<PyRef> &values, const Activation &iteration) const {
  --*stepsLeft_;
  PyRef another = goesOn ? goesOn(iteration) : PyRef();
  if (another && another.get() == Py_False)
    return false;
  bool isKnown = another.get() != nullptr, changes = false;
  std::vector<PyRef> after;
  for (size_t i = 0; i < values.size(); ++i) {
    after.push_back(i < next.size() && next[i] ? next[i](iteration) : PyRef());
    changes = changes || after[i].get() != values[i].get();
  }
  values = std::move(after);
  return isKnown || changes;
}

// They do not lie in this `outer`, but in a copy of it.
const std::deque<Activation> &LaneLoop::runOf(const Activation &outer) const {
  auto known = runs_.find(outer.run);
  return known != runs_.end() ? known->second
                              : runs_.insert_or_assign(outer.run, iterate(outer)).first->second;
}

std::deque<Activation> LaneLoop::iterationsOf(const Activation &outer) const {
  std::deque<Activation> iterations = runOf(outer);
  for (Activation &iteration : iterations)
    iteration.outer = &outer;
  return iterations;
}

std::deque<Activation> LaneLoop::iterate(const Activation &outer) const {
  constexpr size_t kMost = 256; // they are examples, after all
  std::deque<Activation> iterations;
  PyRef first = begins ? begins(outer) : PyRef();
  if (first && first.get() == Py_False)
    return iterations;
  std::vector<PyRef> values;
  for (const Example &example : start)
    values.push_back(example ? example(outer) : PyRef());
  do
    iterations.push_back({&outer, values});
  while (!next.empty() && iterations.size() < kMost && *stepsLeft_ > 0 &&
         step(values, iterations.back()));
  return iterations;
}

PyRef LaneLoop::endOf(const Activation &outer, size_t value) const {
  const std::deque<Activation> &iterations = runOf(outer);
  if (iterations.empty())
    return start[value] ? start[value](outer) : PyRef();
  Activation last = iterations.back();
  last.outer = &outer;
  PyRef another = goesOn ? goesOn(last) : PyRef();
  bool ends = another && another.get() == Py_False && value < next.size() && next[value];
  return ends ? next[value](last) : PyRef();
}

void LanePath::follow(const Activation &run, const std::function<void(const Activation &)> &visit,
                      size_t part) const {
  if (!Lanes::hold(parts[part].conditions, run))
    return;
  if (part + 1 == parts.size())
    return visit(run);
  for (const Activation &iteration : parts[part + 1].loop->iterationsOf(run))
    follow(iteration, visit, part + 1);
}

//===- Lanes -------------------------------------------------------------------------------===//

Lanes::Lanes(std::function<PyRef(ValueId)> constant)
    : constant_(std::move(constant)), outermost_(1) {
  levels_.push_back({&outermost_});
}

void Lanes::enter(const std::deque<Activation> &activations, std::shared_ptr<const LaneLoop> loop) {
  levels_.push_back({&activations, std::move(loop)});
}

LanePath Lanes::path() const {
  size_t first = levels_.size() - 1;
  while (levels_[first].loop)
    --first;
  LanePath path;
  for (size_t i = first; i < levels_.size(); ++i)
    path.parts.push_back({levels_[i].loop, levels_[i].conditions});
  return path;
}

void Lanes::leave() {
  levels_.pop_back();
  std::erase_if(known_, [&](const auto &entry) { return entry.second.level >= levels_.size(); });
}

void Lanes::note(ValueId value, Example example) {
  if (example)
    known_[value] = {levels_.size() - 1, remembering(std::move(example))};
}

Example Lanes::of(ValueId value) const {
  auto found = known_.find(value);
  if (found == known_.end()) {
    PyRef object = constant_(value);
    return object ? [object](const Activation &) { return object; } : Example();
  }
  size_t outwards = levels_.size() - 1 - found->second.level;
  if (outwards == 0)
    return found->second.example;
  return [outwards, example = found->second.example](const Activation &activation) {
    const Activation *at = &activation;
    for (size_t i = 0; i < outwards; ++i)
      at = at->outer;
    return example(*at);
  };
}

void Lanes::noteMerged(ValueId value, const Example &condition, ValueId then, ValueId otherwise) {
  Example first = of(then), second = of(otherwise);
  if (!first && !second)
    return;
  note(value, [=](const Activation &activation) {
    PyRef holds = condition ? condition(activation) : PyRef();
    if (holds)
      return holds.get() == Py_True ? (first ? first(activation) : PyRef())
                                    : (second ? second(activation) : PyRef());
    PyRef one = first ? first(activation) : PyRef(), other = second ? second(activation) : PyRef();
    return one.get() == other.get() ? one : PyRef(); // nobody knows which
  });
}

Lanes::Filter::Filter(Lanes &lanes, Example condition, bool holds)
    : lanes_(lanes), before_(lanes.levels_.back().conditions.size()) {
  lanes.restrictTo(std::move(condition), holds);
}

Lanes::Filter::~Filter() { lanes_.levels_.back().conditions.resize(before_); }

bool Lanes::hold(const LaneConditions &conditions, const Activation &activation) {
  for (const auto &[condition, wanted] : conditions) {
    PyRef holds = condition ? condition(activation) : PyRef();
    if (holds && (holds.get() == Py_True) != wanted)
      return false;
  }
  return true;
}

std::vector<const Activation *> Lanes::active() const {
  std::vector<const Activation *> found;
  for (const Activation &activation : *levels_.back().activations)
    if (hold(conditions(), activation))
      found.push_back(&activation);
  return found;
}

// Where no lane comes, those tell that come nearest to it.
std::vector<PyRef> Lanes::seen(ValueId value) const {
  std::vector<PyRef> objects;
  std::set<PyObject *> known;
  Example example = of(value);
  if (!example)
    return objects;
  LaneConditions met = conditions();
  while (true) {
    for (const Activation &activation : *levels_.back().activations)
      if (hold(met, activation))
        if (PyRef object = example(activation); object && known.insert(object.get()).second)
          objects.push_back(std::move(object));
    if (!objects.empty() || met.empty())
      return objects;
    met.pop_back();
  }
}

Lanes::Ways Lanes::waysOf(const Example &condition) const {
  Ways ways;
  for (const Activation *activation : active()) {
    PyRef holds = condition(*activation);
    if (!holds)
      return {{true, true}};
    ways.taken[holds.get() == Py_True] = true;
  }
  return ways;
}

} // namespace bifront
