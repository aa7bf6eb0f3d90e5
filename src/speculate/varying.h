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

// Where a value comes from: the arguments, or a slot and what it holds.
struct LeafPlace {
  ValuePath path;           // empty for a slot itself
  std::optional<Slot> slot; // nothing for an argument
};

inline bool sameSlot(const Slot &one, const Slot &other) {
  return one.kind == other.kind && one.object.get() == other.object.get() &&
         sameValue(one.key.get(), other.key.get());
}

inline bool samePlace(const LeafPlace &one, const LeafPlace &other) {
  if (one.slot.has_value() != other.slot.has_value() || one.path != other.path)
    return false;
  return !one.slot || sameSlot(*one.slot, *other.slot);
}

struct Varying {
  struct Dimension {
    LeafPlace place;
    int64_t dimension;
    // What sizes it has had: 0 and 1, which have meanings of their own, others, or both.
    bool small = false, large = true;
    // Something depends on whether it is 0, 1 or more: it decides the path.
    bool parts = false;
    // Told by the sizes that it has had: another one's is another dimension.
    uint64_t history = 0;
    void noteHistory(uint64_t more) {
      if (more)
        history = history * 0x9e3779b97f4a7c15 + more;
    }
  };
  // Slots, and numbers and objects in them and among the arguments.
  std::vector<LeafPlace> values;
  // Arguments that Python has to know, each one of several values (speculate/choices.h). An object
  // of the program among them is an input as it is among `values`.
  std::vector<ValuePath> choices;
  std::vector<Dimension> dimensions;

  size_t size() const { return values.size() + choices.size() + dimensions.size(); }
  bool empty() const { return size() == 0; }
  bool has(const LeafPlace &place) const {
    return std::any_of(values.begin(), values.end(),
                       [&](const LeafPlace &other) { return samePlace(place, other); });
  }
  bool hasChoice(const ValuePath &path) const {
    return std::find(choices.begin(), choices.end(), path) != choices.end();
  }
  bool hasChoice(const LeafPlace &place) const { return !place.slot && hasChoice(place.path); }
  bool has(const Dimension &one) const {
    return std::any_of(dimensions.begin(), dimensions.end(), [&](const Dimension &other) {
      return one.dimension == other.dimension && samePlace(one.place, other.place);
    });
  }
  bool hasAll(const Varying &others) const {
    auto known = [&](const LeafPlace &place) { return has(place) || hasChoice(place); };
    return std::ranges::all_of(others.values, known) &&
           std::ranges::all_of(others.choices, [&](const auto &path) { return hasChoice(path); }) &&
           std::ranges::all_of(others.dimensions, [&](const auto &one) { return has(one); });
  }
  void add(const Varying &more) {
    auto addTo = [&](auto &mine, const auto &added) {
      for (const auto &value : added)
        if (!has(value))
          mine.push_back(value);
    };
    addTo(values, more.values);
    for (const ValuePath &path : more.choices)
      if (!hasChoice(path))
        choices.push_back(path);
    std::erase_if(values, [&](const LeafPlace &place) { return hasChoice(place); });
    addTo(dimensions, more.dimensions);
    for (Dimension &dimension : dimensions)
      for (const Dimension &other : more.dimensions)
        if (dimension.dimension == other.dimension && samePlace(dimension.place, other.place)) {
          dimension.small |= other.small;
          dimension.large |= other.large;
          dimension.parts |= other.parts;
          dimension.noteHistory(other.history);
        }
    shareSmall();
  }
  // Items of one list or tuple that vary in the same dimension: what small sizes one of them has
  // had the others will have, which would cost a conversion each.
  void shareSmall() {
    for (Dimension &dimension : dimensions)
      dimension.small |= std::ranges::any_of(dimensions, [&](const Dimension &other) {
        return other.small && areSiblings(dimension, other);
      });
  }
  static bool areSiblings(const Dimension &one, const Dimension &other) {
    return !one.place.slot && !other.place.slot && one.dimension == other.dimension &&
           areItemsOfOne(one.place.path, other.place.path);
  }
  // Python is to know the numbers among the arguments. Whether there were any values there.
  bool makeChoices() {
    size_t before = choices.size();
    for (const LeafPlace &place : values)
      if (!place.slot)
        choices.push_back(place.path);
    std::erase_if(values, [](const LeafPlace &place) { return !place.slot; });
    return choices.size() > before;
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
  // The small sizes of these decide the path; whether they did not.
  bool part(const Varying &others) {
    bool isNew = false;
    for (Dimension &dimension : dimensions)
      if (dimension.small && !dimension.parts && others.has(dimension))
        isNew = dimension.parts = true;
    return isNew;
  }
  size_t numParting() const {
    return std::ranges::count_if(dimensions, [](const Dimension &one) { return one.parts; });
  }
  void keep(const Varying &others) { // what these have too
    auto isOnlyMine = [&](const auto &value) { return !others.has(value); };
    std::erase_if(values, isOnlyMine);
    std::erase_if(choices, [&](const ValuePath &path) { return !others.hasChoice(path); });
    std::erase_if(dimensions, isOnlyMine);
  }
  void dropSlots() { // but for the sizes of what they hold
    std::erase_if(values, [](const LeafPlace &place) { return place.slot.has_value(); });
  }
  void remove(const Varying &less) {
    std::erase_if(values, [&](const LeafPlace &place) {
      return less.has(place) || less.hasChoice(place); // even Python cannot have it vary
    });
    std::erase_if(choices, [&](const ValuePath &path) { return less.hasChoice(path); });
    std::erase_if(dimensions, [&](const Dimension &one) { return less.has(one); });
  }
  // The slots of containers that are not looked at any more.
  void removeInside(const std::vector<PyRef> &containers) {
    auto isInside = [&](const LeafPlace &place) {
      return place.slot &&
             std::any_of(containers.begin(), containers.end(), [&](const PyRef &container) {
               return container.get() == place.slot->object.get();
             });
    };
    std::erase_if(values, isInside);
    std::erase_if(dimensions, [&](const Dimension &one) { return isInside(one.place); });
  }
};

} // namespace bifront
