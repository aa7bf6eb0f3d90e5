// Values that have been seen to vary from call to call, so that they become inputs of the next
// graph.
#pragma once

#include "frontend/python_effects.h"
#include "speculate/value_pattern.h"
#include "support/plain_constant.h"

#include <algorithm>
#include <vector>

namespace bifront {

struct Varying {
  std::vector<ArgumentPath> numbers; // among the arguments
  std::vector<Slot> slots;

  bool empty() const { return numbers.empty() && slots.empty(); }
  bool has(const ArgumentPath &path) const {
    return std::find(numbers.begin(), numbers.end(), path) != numbers.end();
  }
  bool has(const Slot &slot) const {
    return std::any_of(slots.begin(), slots.end(), [&](const Slot &other) {
      return slot.kind == other.kind && slot.object.get() == other.object.get() &&
             sameValue(slot.key.get(), other.key.get());
    });
  }
  // Whether there was anything new.
  bool add(const Varying &more) {
    size_t before = numbers.size() + slots.size();
    for (const ArgumentPath &path : more.numbers)
      if (!has(path))
        numbers.push_back(path);
    for (const Slot &slot : more.slots)
      if (!has(slot))
        slots.push_back(slot);
    return numbers.size() + slots.size() > before;
  }
  void remove(const Varying &less) {
    std::erase_if(numbers, [&](const ArgumentPath &path) { return less.has(path); });
    std::erase_if(slots, [&](const Slot &slot) { return less.has(slot); });
  }
};

} // namespace bifront
