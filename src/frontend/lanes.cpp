#include "frontend/lanes.h"

#include <set>

namespace bifront {

Lanes::Lanes(std::function<PyObject *(ValueId)> constant)
    : constant_(std::move(constant)), outermost_(1) {
  levels_.push_back({&outermost_});
}

void Lanes::enter(const std::deque<Activation> &activations) { levels_.push_back({&activations}); }

void Lanes::leave() {
  levels_.pop_back();
  std::erase_if(known_, [&](const auto &entry) { return entry.second.level >= levels_.size(); });
}

void Lanes::note(ValueId value, Example example) {
  if (example)
    known_[value] = {levels_.size() - 1, std::move(example)};
}

Example Lanes::of(ValueId value) const {
  auto found = known_.find(value);
  if (found == known_.end()) {
    PyRef object = PyRef::share(constant_(value));
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

bool Lanes::hold(const Conditions &conditions, const Activation &activation) {
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

std::vector<PyRef> Lanes::seen(ValueId value) const {
  std::vector<PyRef> objects;
  std::set<PyObject *> known;
  Example example = of(value);
  if (!example)
    return objects;
  for (const Activation *activation : active())
    if (PyRef object = example(*activation); object && known.insert(object.get()).second)
      objects.push_back(std::move(object));
  return objects;
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
