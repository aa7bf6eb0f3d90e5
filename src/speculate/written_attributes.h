// What a run has written to attributes of objects that only it knows. The commit writes it there;
// until then the run reads it here, and nobody else sees it.
#pragma once

#include "support/py_ref.h"

#include <map>
#include <utility>
#include <vector>

namespace bifront {

class WrittenAttributes {
public:
  // `name` is interned. With the GIL, as all of them.
  void write(PyRef object, PyRef name, PyRef value);
  bool any() const { return !writes_.empty(); }
  // What the run has written there last, borrowed; null: nothing.
  PyObject *find(PyObject *object, PyObject *name) const;
  // Does the writes, in order. False with an exception, which leaves none of the others undone.
  bool commit() const;
  void clear();

private:
  struct Write {
    PyRef object, name, value;
  };
  std::vector<Write> writes_;
  std::map<std::pair<PyObject *, PyObject *>, size_t> last_;
};

// What a graph calls with an object, a name and a value, for that to be written by the run that is
// in progress. Gives the value. Borrowed.
PyObject *attributeWriter();

} // namespace bifront
