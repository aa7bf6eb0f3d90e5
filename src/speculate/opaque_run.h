// What the opaque calls of one run of a graph have changed. Where the run fails, CPython runs the
// call from the start, and must find things as they were.
#pragma once

#include "capture/modes.h"
#include "speculate/call_log.h"
#include "speculate/written_attributes.h"
#include "support/py_ref.h"

#include <functional>
#include <utility>
#include <vector>

namespace bifront {

class ConvertedGraph;

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
  // What it writes to objects that only it knows.
  WrittenAttributes &written() { return written_; }
  // Random sources are as they were before the run, and nothing is written.
  void restore();

  // Calls of the program with effects are made in this run, and logged. The graph's guards hold.
  void makeCalls(const ConvertedGraph &graph);
  bool makesCalls() const { return graph_; }
  // With the GIL: makes such a call, by `call`. Null with an exception, also where the graph must
  // not go on behind it.
  PyObject *make(const std::shared_ptr<const CallPlace> &place, const std::function<PyRef()> &call);
  // Of the calls that have been made.
  CallLog takeLog() { return std::move(log_); }
  bool hasLogged() const { return !log_.empty(); }

private:
  bool isCurrent_;
  OpaqueRun *outer_ = nullptr;
  std::vector<std::pair<PyRef, PyRef>> sources_; // and their states
  std::vector<PyRef> held_;
  WrittenAttributes written_;
  const ConvertedGraph *graph_ = nullptr;
  std::vector<PyRef> inputs_;                 // what varies of Python's values, as the graph has it
  std::optional<at::ThreadLocalState> modes_; // the program's
  CallLog log_;
};

} // namespace bifront
