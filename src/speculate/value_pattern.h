// The shape of an argument - tuples, lists, dicts, tensors, numbers, plain constants - as it was
// when a graph was made: how to recognise it at the next call, and how to make a copy of it around
// proxies.
#pragma once

#include "support/py_ref.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace bifront {

// An argument's position, then the position in each container around a value.
using ArgumentPath = std::vector<uint32_t>;

// The objects that each call brings anew. Tensors and containers are met as often as they are named
// and count once; numbers have no identity.
struct Leaves {
  std::vector<PyObject *> objects; // borrowed
  std::vector<ArgumentPath> paths; // where each was met first
  // Whether the value is a tensor of the graph; may throw.
  std::function<bool(PyObject *)> isTensor;
  // Whether a number or an object is a leaf, rather than a constant.
  std::function<bool(const ArgumentPath &)> varies;
  // Whether another value is one of several, and a leaf.
  std::function<bool(const ArgumentPath &)> isChoice;
};

// Where a value differs from a pattern: in a number or an object of the program, or in another
// value.
struct DifferentValues {
  std::vector<ArgumentPath> &numbers, &objects, &choices;
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
    Again, // a container that was met before
  };

  static ValuePattern describe(PyObject *value, const ArgumentPath &path, Leaves &leaves);

  // Whether `value` has this shape. Its leaves go to `leaves`, which starts as nulls and has room
  // for all. One leaf met twice must be one object twice. Does not look into tensors.
  bool match(PyObject *value, PyObject **leaves) const;

  // Where `value` has this shape but for other numbers of the same types, other objects of the
  // same classes of the program, and other choices: adds their paths, and the leaves as `match`
  // does. False where it differs in another way.
  bool differsInValues(PyObject *value, const ArgumentPath &path, PyObject **leaves,
                       const DifferentValues &different) const;

  // A copy of the nest with the tensors and numbers that are in `leaves` already; the containers go
  // there too. A new reference, or null with an exception set.
  PyObject *rebuild(std::vector<PyRef> &leaves) const;

  Kind kind() const { return kind_; }
  uint32_t index() const { return index_; } // of the leaf

private:
  PyTypeObject *containerType() const;
  bool differsInValue(PyObject *value, const ArgumentPath &path,
                      const DifferentValues &different) const;

  Kind kind_ = Kind::Constant;
  uint32_t index_ = 0;
  PyRef object_; // the constant or object; a number's or named tuple's type
  std::vector<PyRef> keys_;
  std::vector<ValuePattern> children_;
};

} // namespace bifront
