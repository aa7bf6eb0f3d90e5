// What a call leaves in Python when its graph has run: the result, and the changes of Python's
// values, in the order of the program and with the same objects in both.
#pragma once

#include "frontend/python_effects.h"
#include "speculate/blueprint.h"
#include "speculate/written_attributes.h"

#include <functional>
#include <vector>

namespace bifront {

class PythonCommit {
public:
  // Throws CannotMake.
  void describe(PyObject *result, const std::vector<PythonWrite> &writes,
                const Blueprint::Origin &origin);
  bool writes() const { return !steps_.empty(); }

  // `leaf` as in Blueprint::make; all of them are asked for before anything is written. `ofRun`:
  // what the run has written to objects that it has met, of which no step knows; may be null. A new
  // reference to the result. Null with an exception set: of a `print`, behind all changes, or for
  // want of memory, before any.
  PyObject *run(const std::function<PyObject *(uint32_t)> &leaf,
                const WrittenAttributes *ofRun) const;
  int traverse(visitproc visit, void *arg) const;

private:
  struct Step {
    PythonWrite::Kind kind;
    Slot::Kind slot;
    uint32_t object, key; // of the blueprint
    std::vector<uint32_t> values;
    PyRef keywordNames;
  };
  bool write(const Step &step, const std::vector<PyRef> &made) const;

  Blueprint blueprint_;
  uint32_t result_ = 0;
  std::vector<Step> steps_;
};

} // namespace bifront
