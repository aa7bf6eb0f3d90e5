// A Python function and the graphs made of it: which graph fits a call, and what happens when none
// does.
#pragma once

#include "speculate/converted_graph.h"
#include "speculate/exit_reason.h"

#include "support/py_ref.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

namespace bifront {

struct ConversionRequest;

struct ConversionOptions {
  // Dimensions that vary: an argument's position or keyword, and a dimension of it.
  std::vector<std::pair<std::variant<int64_t, std::string>, int64_t>> dynamic;
  int64_t profileCalls = 1;
  int64_t maxGraphs = 8;
  bool walked = false; // by the front end; otherwise CPython runs the function on proxies
};

struct ConversionStats {
  std::atomic<uint64_t> calls{0}, profiledCalls{0}, graphCalls{0}, fallbackCalls{0}, conversions{0};
  double conversionSeconds = 0;
  CaptureCost captureCost; // a part of it
  std::array<std::atomic<uint64_t>, std::size(kExitReasons)> exits{};
  std::string lastError;
};

class ConvertedFunction {
public:
  ConvertedFunction(PyObject *function, ConversionOptions options);

  // As CPython's vectorcall: a new reference, or null with an exception set. The GIL is held.
  PyObject *call(PyObject *const *args, size_t count, PyObject *keywordNames);

  PyObject *function() { return function_.get(); }
  const ConversionStats &stats() const { return stats_; }
  using Graphs = std::vector<std::shared_ptr<const ConvertedGraph>>;
  Graphs graphs() const { return graphs_; }
  int traverse(visitproc visit, void *arg);

private:
  PyObject *callPython(PyObject *const *args, size_t count, PyObject *keywordNames);
  PyObject *fallBack(ExitReason reason, PyObject *const *args, size_t count, PyObject *keywordNames,
                     const std::string &message = {});
  // Why no graph has run a call.
  struct Misfits {
    GraphRefusal refusal;
    Graphs wrong;  // they assumed something else of the call's tensors
    Graphs narrow; // they have constants that vary
  };
  // Converts for these arguments and runs the result; null without an exception where that did not
  // work.
  std::shared_ptr<const ConvertedGraph> convert(PyObject *const *args, size_t count,
                                                PyObject *keywordNames, const Misfits &misfits);
  // The call's result (null with an exception set), or nothing where an assumption about this
  // call's values did not hold: then nothing has happened.
  std::optional<PyObject *> run(const ConvertedGraph &graph, PyObject **leaves,
                                PyObject *const *args, size_t count, PyObject *keywordNames);
  PyObject *runNew(PyObject *const *args, size_t count, PyObject *keywordNames,
                   const Misfits &misfits);
  std::shared_ptr<const ConvertedGraph> convertVarying(const ConversionRequest &request);
  // Learns from a call that no graph may run for; the graphs that have been too narrow.
  Graphs learnVarying(PyObject *const *args, size_t count, PyObject *keywordNames);
  void learnPaths(const ConvertedGraph &graph);
  void preferGraph(const std::shared_ptr<const ConvertedGraph> &graph);
  bool wastesRuns();
  bool mayConvert() const { return failedAttempts_ < kAttempts && stats_.calls >= nextAttempt_; }
  // Every exit, with what there is to say about this one.
  void count(ExitReason reason, const std::string &message = {});
  void log(const std::string &what) const;

  PyRef function_;
  ConversionOptions options_;
  ConversionStats stats_;
  Graphs graphs_;     // changed under the GIL only
  Varying varying_;   // what has been seen to vary
  Varying constants_; // of that, what a graph has to know
  std::vector<Path> paths_; // that calls have taken, the latest first
  std::atomic<bool> converting_{false};
  // What stands in the way may be gone later: an optimizer makes its state at its first step.
  static constexpr int kAttempts = 3;
  int failedAttempts_ = 0;
  uint64_t nextAttempt_ = 0;            // the call that may try again
  std::atomic<uint64_t> wastedRuns_{0}; // that ended in a failed assumption
};

} // namespace bifront
