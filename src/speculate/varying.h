// Values that have been seen to vary from call to call, so that they become inputs of the next
// graph; and the dimensions of tensors that have had several sizes.
#pragma once

#include "frontend/python_effects.h"
#include "speculate/value_pattern.h"
#include "support/plain_constant.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace bifront {

// Where a tensor or a number comes from: the arguments, or a slot.
struct LeafPlace {
  ArgumentPath path;        // empty for a slot
  std::optional<Slot> slot; // nothing for an argument
};

inline bool sameSlot(const Slot &one, const Slot &other) {
  return one.kind == other.kind && one.object.get() == other.object.get() &&
         sameValue(one.key.get(), other.key.get());
}

inline bool samePlace(const LeafPlace &one, const LeafPlace &other) {
  if (one.slot || other.slot)
    return one.slot && other.slot && sameSlot(*one.slot, *other.slot);
  return one.path == other.path;
}

struct Varying {
  struct Dimension {
    LeafPlace place;
    int64_t dimension;
    // What sizes it has had: 0 and 1, which have meanings of their own, others, or both.
    bool small = false, large = true;
  };
  std::vector<ArgumentPath> numbers; // among the arguments
  std::vector<Slot> slots;
  std::vector<Dimension> dimensions;

  size_t size() const { return numbers.size() + slots.size() + dimensions.size(); }
  bool empty() const { return size() == 0; }
  bool has(const ArgumentPath &path) const {
    return std::find(numbers.begin(), numbers.end(), path) != numbers.end();
  }
  bool has(const Slot &slot) const {
    return std::any_of(slots.begin(), slots.end(),
                       [&](const Slot &other) { return sameSlot(slot, other); });
  }
  bool has(const Dimension &one) const {
    return std::any_of(dimensions.begin(), dimensions.end(), [&](const Dimension &other) {
      return one.dimension == other.dimension && samePlace(one.place, other.place);
    });
  }
  bool hasAll(const Varying &others) const {
    auto mine = [&](const auto &value) { return has(value); };
    return std::all_of(others.numbers.begin(), others.numbers.end(), mine) &&
           std::all_of(others.slots.begin(), others.slots.end(), mine) &&
           std::all_of(others.dimensions.begin(), others.dimensions.end(), mine);
  }
  void add(const Varying &more) {
    auto addTo = [&](auto &values, const auto &added) {
      for (const auto &value : added)
        if (!has(value))
          values.push_back(value);
    };
    addTo(numbers, more.numbers);
    addTo(slots, more.slots);
    addTo(dimensions, more.dimensions);
    for (Dimension &dimension : dimensions)
      for (const Dimension &other : more.dimensions)
        if (dimension.dimension == other.dimension && samePlace(dimension.place, other.place)) {
          dimension.small |= other.small;
          dimension.large |= other.large;
        }
  }
  bool hasSmall() const {
    return std::any_of(dimensions.begin(), dimensions.end(),
                       [](const Dimension &dimension) { return dimension.small; });
  }
  // As if the sizes 0 and 1 had not been seen.
  void forgetSmall() {
    std::erase_if(dimensions, [](const Dimension &dimension) { return !dimension.large; });
    for (Dimension &dimension : dimensions)
      dimension.small = false;
  }
  void keep(const Varying &others) { // what these have too
    auto isOnlyMine = [&](const auto &value) { return !others.has(value); };
    std::erase_if(numbers, isOnlyMine);
    std::erase_if(slots, isOnlyMine);
    std::erase_if(dimensions, isOnlyMine);
  }
  void remove(const Varying &less) {
    auto removed = [&](const auto &value) { return less.has(value); };
    std::erase_if(numbers, removed);
    std::erase_if(slots, removed);
    std::erase_if(dimensions, removed);
  }
};

} // namespace bifront
