// The Python values around a function - attributes of its modules and optimizers, globals, cells -
// as they were when a graph was made, and whether they still are.
#pragma once

#include "support/py_ref.h"

#include <cstdint>
#include <vector>

namespace bifront {

class PythonState {
public:
  // `places`: a list of dicts (all items count), lists, sets, deques, cells, and pairs of a dict or
  // an object and a tuple of the keys, slots or a class's attributes that count. False with an
  // exception set.
  bool remember(PyObject *places);
  // Compares by identity; numbers, strings and None also by type and value. Runs no Python code.
  bool isUnchanged() const;
  // Puts back what has changed; whether there was any.
  bool restore() const;
  int traverse(visitproc visit, void *arg) const;

private:
  enum class Kind : uint8_t { Dict, Ordered, Names, Slots, List, Collection, Cell };
  struct Place {
    Kind kind;
    PyRef object;
    std::vector<PyRef> keys;   // Dict, Names
    std::vector<PyRef> values; // null: the name is not there
    mutable uint64_t version = 0;
    bool holds() const;
    bool putBack() const; // false with an exception set
    bool readItems();     // of a collection, or pairs of an ordered dict
    bool putItemsBack() const;
  };
  static bool describe(PyObject *entry, Place &place);

  std::vector<Place> places_;
};

} // namespace bifront
