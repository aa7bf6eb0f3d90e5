// What the opaque calls of one run of a graph have changed. Where the run fails, CPython runs the
// call from the start, and must find things as they were.
#pragma once

#include "capture/modes.h"
#include "speculate/call_log.h"
#include "speculate/written_attributes.h"
#include "support/py_ref.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <functional>
#include <span>
#include <unordered_set>
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
  // With the GIL: a call is about to write to this array, which is none of a tensor's memory, or
  // else the run fails. Throws PythonError, and what a run throws.
  void keepArray(PyObject *array);
  // With the GIL: a tensor that the run has made lies in the memory of an array.
  void noteShared(const at::Tensor &tensor);
  // With the GIL: the graph writes no tensor that this array shares its memory with, or else the
  // run fails.
  void keepApart(PyObject *array) const;
  // With the GIL: the program has read this array where opaque calls may reach it, as the result of
  // a call, which the run holds twice.
  void watch(PyObject *array) { countRefs(array, 2); }
  // With the GIL: the graph has made this, which the run holds twice.
  void noteMade(PyObject *object);
  // With the GIL: the graph gives this to a call, which may keep it.
  void noteGiven(PyObject *object);
  // What the graph is given; lives as long as the run.
  void beginWith(const ConvertedGraph &graph, std::span<const c10::IValue> inputs);
  // The object lives as long as the run, and what is made of it.
  void hold(PyRef object) { held_.push_back(std::move(object)); }
  // What it writes to objects that only it knows.
  WrittenAttributes &written() { return written_; }
  // Random sources and arrays are as they were before the run, and nothing is written.
  void restore();

  // Calls of the program with effects are made in this run, and logged. The graph's guards hold.
  void makeCalls(const ConvertedGraph &graph);
  bool makesCalls() const { return graph_; }
  // With the GIL: makes such a call, by `call`. Null with an exception, also where the graph must
  // not go on behind it.
  PyObject *make(const std::shared_ptr<const CallPlace> &place, bool grad,
                 const std::function<PyRef()> &call);
  // Of the calls that have been made.
  CallLog takeLog() { return std::move(log_); }
  // Of what they have changed; whether a conversion will know more.
  bool noteChanges(OpaqueSites &sites) const;
  bool hasLogged() const { return !log_.empty(); }

private:
  bool writesIn(const char *begin, const char *end) const;
  void countRefs(PyObject *array, Py_ssize_t more);
  void countContainers();
  std::vector<PyRef> valuesOfSlots() const;
  bool addChanges(const std::vector<PyRef> &slots, std::vector<ValueChange> &changes);
  void readWatched();
  bool isCurrent_;
  OpaqueRun *outer_ = nullptr;
  std::vector<std::pair<PyRef, PyRef>> sources_; // and their states
  std::vector<std::pair<PyRef, PyRef>> arrays_;  // that were written, and what was in them
  std::vector<at::Tensor> ofArrays_;
  const ConvertedGraph *running_ = nullptr;
  std::span<const c10::IValue> given_;
  // An array that the program has read, and opaque calls may write to. `refs`: how many are ours.
  struct Watched {
    PyRef array, contents;
    Py_ssize_t refs;
  };
  std::vector<Watched> watched_;
  // Lists and tuples that the graph has made; held. Those of the second nobody else has, and their
  // references to watched arrays are counted.
  std::vector<PyObject *> newContainers_;
  std::unordered_set<PyObject *> ownContainers_;
  std::vector<PyRef> held_;
  WrittenAttributes written_;
  const ConvertedGraph *graph_ = nullptr;
  std::vector<PyRef> inputs_;                 // what varies of Python's values, as the graph has it
  std::optional<at::ThreadLocalState> modes_; // the program's
  CallLog log_;
};

} // namespace bifront
