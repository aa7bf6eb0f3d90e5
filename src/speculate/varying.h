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
  using Paths = std::vector<ArgumentPath>;
  // Among the arguments: numbers, objects of the program, and other values (speculate/choices.h).
  Paths numbers, objects, choices;
  std::vector<Slot> slots;
  std::vector<Dimension> dimensions;

  size_t size() const {
    return numbers.size() + objects.size() + choices.size() + slots.size() + dimensions.size();
  }
  bool empty() const { return size() == 0; }
  static bool has(const Paths &paths, const ArgumentPath &path) {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
  }
  bool has(const ArgumentPath &path) const { return has(numbers, path) || has(objects, path); }
  bool hasChoice(const ArgumentPath &path) const { return has(choices, path); }
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
    auto myObject = [&](const ArgumentPath &path) { return has(objects, path); };
    auto myChoice = [&](const ArgumentPath &path) { return hasChoice(path); };
    auto myNumber = [&](const ArgumentPath &path) { return has(numbers, path) || myChoice(path); };
    return std::ranges::all_of(others.numbers, myNumber) &&
           std::ranges::all_of(others.objects, myObject) &&
           std::ranges::all_of(others.choices, myChoice) &&
           std::ranges::all_of(others.slots, mine) && std::ranges::all_of(others.dimensions, mine);
  }
  void add(const Varying &more) {
    for (Paths Varying::*paths : kPaths)
      for (const ArgumentPath &path : more.*paths)
        if (!has(this->*paths, path))
          (this->*paths).push_back(path);
    std::erase_if(numbers, [&](const ArgumentPath &path) { return hasChoice(path); });
    for (const Slot &slot : more.slots)
      if (!has(slot))
        slots.push_back(slot);
    for (const Dimension &added : more.dimensions) {
      auto known = std::ranges::find_if(dimensions, [&](const Dimension &dimension) {
        return dimension.dimension == added.dimension && samePlace(dimension.place, added.place);
      });
      if (known == dimensions.end())
        known = dimensions.insert(known, added);
      known->small |= added.small;
      known->large |= added.large;
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
  void makeNumbersChoices() {
    choices.insert(choices.end(), numbers.begin(), numbers.end());
    numbers.clear();
  }
  void keep(const Varying &others) { eraseWhere(others, false); } // what these have too
  void remove(const Varying &less) { eraseWhere(less, true); }

private:
  static constexpr Paths Varying::*kPaths[] = {&Varying::numbers, &Varying::objects,
                                               &Varying::choices};
  void eraseWhere(const Varying &others, bool theyHaveIt) {
    for (Paths Varying::*paths : kPaths)
      std::erase_if(this->*paths, [&](const ArgumentPath &path) {
        return has(others.*paths, path) == theyHaveIt;
      });
    auto isErased = [&](const auto &value) { return others.has(value) == theyHaveIt; };
    std::erase_if(slots, isErased);
    std::erase_if(dimensions, isErased);
  }
};

} // namespace bifront
