// The shape of an argument, or of what a slot holds - tuples, lists, dicts, deques, objects,
// tensors, numbers, plain constants - as it was when a graph was made: how to recognise it at the
// next call, and how to make a copy of it around proxies.
#pragma once

#include "support/py_ref.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace bifront {

// An argument's position (nothing in a slot), then the position in each container around a value.
using ValuePath = std::vector<uint32_t>;
// Whether the values are items of one container.
inline bool areItemsOfOne(const ValuePath &one, const ValuePath &other) {
  return one.size() > 1 && one.size() == other.size() &&
         std::equal(one.begin(), one.end() - 1, other.begin());
}

// The objects that each call brings anew. Tensors and containers are met as often as they are named
// and count once; numbers have no identity.
struct Leaves {
  std::vector<PyObject *> objects; // borrowed
  std::vector<ValuePath> paths;    // where each was met first
  std::vector<uint32_t> pointers;  // of the objects: those that are known by their class alone
  // Whether the value is a tensor of the graph; may throw.
  std::function<bool(PyObject *)> isTensor;
  // Whether a number or an object is a leaf, rather than a constant.
  std::function<bool(const ValuePath &)> varies;
  // Whether another value is one of several, and a leaf.
  std::function<bool(const ValuePath &)> isChoice;
  // Objects that vary are looked into and copied, rather than known by their class.
  bool copiesObjects = false;
  // How many more values may be looked at, and how deep; `full` when there are more: then the
  // pattern is not to be used.
  size_t room = SIZE_MAX, deepest = SIZE_MAX;
  bool full = false;
  // For what a slot holds. A longer nest than this is data.
  void ofSlot() {
    copiesObjects = true;
    room = 256;
    deepest = 32;
  }
};

// Where a value differs from a pattern: in a number or an object of the program, or in another
// value that is one of several.
struct DifferentPaths {
  std::vector<ValuePath> values, choices;
};

class ValuePattern {
public:
  enum class Kind : uint8_t {
    Tensor,   // exactly torch.Tensor
    Number,   // an int of 64 bits, a float or a bool, of that very type
    Constant, // None, bool, int, float, str, bytes, ...: equal and of the same type
    Identity, // any other object: the same object
    Object,   // of exactly that class, and a leaf
    Choice,   // any value that may be one of several (speculate/choices.h)
    Tuple,    // containers are leaves too
    List,
    Dict,
    Deque,
    Instance, // an object of exactly that class; its dict is a leaf as well
    Again,    // one of these that was met before
    Absent,   // a member of an object that is not assigned
  };

  static ValuePattern describe(PyObject *value, const ValuePath &path, Leaves &leaves);

  // Whether `value` has this shape. Its leaves go to `leaves`, which starts as nulls and has room
  // for all. One leaf met twice must be one object twice. Does not look into tensors.
  bool match(PyObject *value, PyObject **leaves) const;

  // Where `value` has this shape but for other numbers of the same types, other objects of the
  // same classes of the program, and other choices: adds their paths, and the leaves as `match`
  // does. False where it differs in another way.
  bool differsInValues(PyObject *value, const ValuePath &path, PyObject **leaves,
                       DifferentPaths &different) const;

  // A copy of the nest with the tensors and numbers that are in `leaves` already; the containers go
  // there too. A new reference, or null with an exception set.
  PyObject *rebuild(std::vector<PyRef> &leaves) const;

  // The objects that are the same at each call.
  void forEachIdentity(const std::function<void(PyObject *)> &use) const;

  Kind kind() const { return kind_; }
  // The one object that it is; null for other patterns.
  PyObject *identity() const { return kind_ == Kind::Identity ? object_.get() : nullptr; }
  uint32_t index() const { return index_; } // of the leaf
  int traverse(visitproc visit, void *arg) const;

private:
  // What of a value differs, where that is looked for.
  struct Differing {
    ValuePath path;
    DifferentPaths &different;
  };

  void describeItems(PyObject *value, const ValuePath &path, Leaves &leaves);
  void describeDict(PyObject *dict, const ValuePath &path, Leaves &leaves);
  void describeInstance(PyObject *value, const ValuePath &path, Leaves &leaves);
  PyTypeObject *type() const { return reinterpret_cast<PyTypeObject *>(object_.get()); }

  bool matches(PyObject *value, PyObject **leaves, Differing *differing) const;
  bool itemsMatch(PyObject *value, PyObject **leaves, Differing *differing) const;
  bool dictMatches(PyObject *dict, PyObject **leaves, Differing *differing) const;
  bool instanceMatches(PyObject *value, PyObject **leaves, Differing *differing) const;
  bool differsInValue(PyObject *value, Differing &differing) const;
  bool childMatches(size_t i, PyObject *value, PyObject **leaves, Differing *differing) const;

  PyObject *rebuildItems(std::vector<PyRef> &leaves) const;
  PyObject *rebuildDict(std::vector<PyRef> &leaves) const;
  PyObject *rebuildDeque(std::vector<PyRef> &leaves) const;
  PyObject *rebuildInstance(std::vector<PyRef> &leaves) const;

  Kind kind_ = Kind::Constant;
  uint32_t index_ = 0;
  PyRef object_; // the constant or object; the type of numbers, containers and objects
  // Of a dict, behind them a defaultdict's factory; a deque's longest length; an instance's
  // descriptors.
  std::vector<PyRef> keys_;
  std::vector<ValuePattern> children_;
};

// How what is in a place differs from what was there before, where a pattern can have both: the
// paths of numbers that differ, and of objects of one class.
struct ValueDifference {
  std::vector<ValuePath> paths;
  bool wholly = true;          // nothing else differs
  std::vector<PyRef> replaced; // the containers and objects that were there
};
std::optional<ValueDifference> compareValues(PyObject *before, PyObject *now);

// Whether a pattern says more of the value than which object or constant it is.
bool isNest(PyObject *value);
// A tensor or a parameter that a proxy can stand for.
bool isPlainTensor(PyObject *value);

} // namespace bifront
