// What the opaque calls of one run of a graph have changed. Where the run fails, CPython runs the
// call from the start, and must find things as they were.
#pragma once

#include "support/py_ref.h"

#include <utility>
#include <vector>

namespace bifront {

class OpaqueRun {
public:
  // Where `needed`, opaque calls of this thread belong to it while it lives.
  explicit OpaqueRun(bool needed = true);
  ~OpaqueRun();
  OpaqueRun(const OpaqueRun &) = delete;
  // Null where no run says what becomes of its calls.
  static OpaqueRun *current();

  // With the GIL: a call is about to draw from this random source. Throws PythonError.
  void keepState(PyObject *source);
  // The object lives as long as the run, and what is made of it.
  void hold(PyRef object) { held_.push_back(std::move(object)); }
  // Random sources are as they were before the run.
  void restore();

private:
  bool isCurrent_;
  OpaqueRun *outer_ = nullptr;
  std::vector<std::pair<PyRef, PyRef>> sources_; // and their states
  std::vector<PyRef> held_;
};

} // namespace bifront
