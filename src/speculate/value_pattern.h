// The shape of a nest of Python values - tuples, lists, dicts, tensors, plain constants - as it was
// when a graph was made: how to recognise it at the next call, and how to make one again around new
// tensors.
#pragma once

#include "support/py_ref.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace bifront {

class ValuePattern {
public:
  enum class Kind : uint8_t {
    Leaf,     // a tensor, or in a result a scalar of the graph too; `index` numbers them
    Constant, // None, bool, int, float, str, bytes, dtype, ...: equal and of the same type
    Identity, // any other object: the same object
    Tuple,
    List,
    Dict,
  };

  // `leafOf` gives the number of an object that is a leaf, and nothing for any other.
  using LeafOf = std::function<std::optional<uint32_t>(PyObject *)>;
  static ValuePattern describe(PyObject *value, const LeafOf &leafOf);

  // Whether `value` has this shape, with tensors as leaves. They go to `leaves`, which starts as
  // nulls and has room for all. One leaf met twice must be one tensor twice. Does not look at the
  // tensors themselves.
  bool match(PyObject *value, PyObject **leaves) const;

  // The same nest with every leaf replaced. Returns a new reference, or null with an exception set.
  PyObject *rebuild(const std::function<PyObject *(uint32_t index)> &leaf) const;

  Kind kind() const { return kind_; }
  uint32_t index() const { return index_; }

private:
  Kind kind_ = Kind::Constant;
  uint32_t index_ = 0;
  PyRef object_; // the constant; for a named tuple its type
  std::vector<PyRef> keys_;
  std::vector<ValuePattern> children_;
};

} // namespace bifront
