// A Python function and the graphs made of it: which graph fits a call, and what happens when none
// does.
#pragma once

#include "frontend/opaque_sites.h"
#include "speculate/asked_sizes.h"
#include "speculate/call_log.h"
#include "speculate/converted_graph.h"
#include "speculate/exit_reason.h"
#include "speculate/seen_calls.h"

#include "support/py_ref.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace bifront {

struct ConversionRequest;
class LaterCompiler;

struct ConversionOptions {
  // Dimensions that vary: an argument's position or keyword, and a dimension of it.
  std::vector<std::pair<std::variant<int64_t, std::string>, int64_t>> dynamic;
  int64_t profileCalls = 1;
  int64_t maxGraphs = 8;
  bool walked = false; // by the front end; otherwise CPython runs the function on proxies
};

// An exit at a line of the program, for reports.
struct ExitPlace {
  std::string location; // "file:line"
  ExitReason reason;
  std::string message;
  uint64_t count = 1;
};

struct ConversionStats {
  std::atomic<uint64_t> calls{0}, profiledCalls{0}, graphCalls{0}, fallbackCalls{0}, conversions{0};
  double conversionSeconds = 0;
  CaptureCost captureCost; // a part of it
  std::array<std::atomic<uint64_t>, std::size(kExitReasons)> exits{};
  std::string lastError;
  std::vector<ExitPlace> places; // the latest few
};

class ConvertedFunction {
public:
  ConvertedFunction(PyObject *function, ConversionOptions options);
  ~ConvertedFunction();
  ConvertedFunction(const ConvertedFunction &) = delete;
  ConvertedFunction &operator=(const ConvertedFunction &) = delete;

  // As CPython's vectorcall: a new reference, or null with an exception set. The GIL is held.
  PyObject *call(PyObject *const *args, size_t count, PyObject *keywordNames);

  // Whether a graph may run for these arguments. Nothing is run, or learned.
  bool fits(PyObject *const *args, size_t count, PyObject *keywordNames) const;

  PyObject *function() { return function_.get(); }
  const ConversionStats &stats() const { return stats_; }
  using Graphs = std::vector<std::shared_ptr<const ConvertedGraph>>;
  // Each form of a graph on its own, with the program of all.
  Graphs forms() const;
  Graphs graphs() const; // one form of each
  int traverse(visitproc visit, void *arg);

private:
  PyObject *callPython(PyObject *const *args, size_t count, PyObject *keywordNames);
  void learnFromReplay(PyObject *result, PyObject *const *args, size_t count,
                       PyObject *keywordNames);
  PyObject *replay(CallLog log, const ConvertedGraph &graph, PyObject *const *args, size_t count,
                   PyObject *keywordNames);
  PyObject *fallBack(ExitReason reason, PyObject *const *args, size_t count, PyObject *keywordNames,
                     const std::string &message = {});
  // A graph among those that calls choose from.
  struct Kept {
    std::shared_ptr<const ConvertedGraph> graph;
    uint64_t made;         // by which conversion
    uint64_t lastCall = 0; // that it ran
    uint32_t comparisons;  // runs that have yet to ask which older graphs serve the same calls
    uint32_t covered = 0;  // calls that it could have run, and a newer graph did
    bool distinct = false; // it has run a call that a newer graph could not
  };
  using KeptGraphs = std::vector<std::shared_ptr<Kept>>;
  // Why no graph has run a call.
  struct Misfits {
    ExitReason reason = ExitReason::ArgumentStructure;
    KeptGraphs wrong; // they assumed something else of the call's tensors
    std::vector<std::pair<std::shared_ptr<Kept>, Difference>> differ;
  };
  // Converts for these arguments and runs the result; null without an exception where that did not
  // work.
  std::shared_ptr<Kept> convert(PyObject *const *args, size_t count, PyObject *keywordNames,
                                const Misfits &misfits);
  // The call's result (null with an exception set), or nothing where an assumption about this
  // call's values did not hold: then nothing has happened.
  // `ran`: the graph has, rather than CPython in its place.
  std::optional<PyObject *> run(Kept &kept, PyObject **leaves, PyObject *const *args, size_t count,
                                PyObject *keywordNames, bool &ran);
  // As run: by the first of the graphs that can.
  std::optional<PyObject *> runAny(PyObject *const *args, size_t count, PyObject *keywordNames,
                                   Misfits &misfits);
  PyObject *runNew(PyObject *const *args, size_t count, PyObject *keywordNames,
                   const Misfits &misfits);
  std::shared_ptr<const ConvertedGraph> convertWithCalls(ConversionRequest request);
  std::shared_ptr<const ConvertedGraph> convertVarying(ConversionRequest request);
  struct Attempt;
  void followObjects(Attempt &attempt, const ConversionRequest &request) const;
  std::shared_ptr<const ConvertedGraph> convertWith(Attempt &attempt, ConversionRequest &request);
  // Learns from a call that no graph has run.
  void learnVarying(PyObject *const *args, size_t count, PyObject *keywordNames, Misfits &misfits);
  void takePlaces(const Kept &made, const Misfits &misfits);
  void drop(const Kept *graph);
  std::shared_ptr<Kept> shared(const Kept &kept) const;
  void unite(const std::shared_ptr<Kept> &made, const Misfits &misfits);
  bool joins(const Kept &made, const KeptGraphs &others, const Misfits &misfits) const;
  void boundMemory();
  KeptGraphs olderThatFit(const Kept &kept, PyObject *const *args, size_t count,
                          PyObject *keywordNames) const;
  void hasRun(const std::shared_ptr<Kept> &kept, const KeptGraphs &olderToo,
              const Misfits &misfits);
  std::set<PyObject *> objectsOfGraphs() const;
  static bool isForOthers(const ConvertedGraph &graph, const ConversionRequest &request);
  bool isKnownWithout(const LeafPlace &place, size_t argument, PyObject *object) const;
  void learnPaths(const ConvertedGraph &graph);
  bool wastesRuns();
  void makeConstant(const Varying &values);
  bool decideAll();
  void keepSmallSizesApart();
  void noteFailedAttempt(ExitReason reason);
  bool hasGivenUp() const;
  bool mayConvertMore() const;
  bool mayConvert() const { return failedAttempts_ < kAttempts && stats_.calls >= nextAttempt_; }
  // Every exit, with what there is to say about this one.
  void count(ExitReason reason, const std::string &message = {}, const std::string &location = {});
  void log(const std::string &what) const;

  PyRef function_;
  ConversionOptions options_;
  ConversionStats stats_;
  KeptGraphs kept_; // changed under the GIL only; calls try them in this order
  SeenCalls seen_;
  std::shared_ptr<Choices> choices_ = std::make_shared<Choices>();
  Varying varying_;                   // what has been seen to vary
  Varying differed_;                  // of this: what a graph has had otherwise for its own objects
  Varying decided_;                   // dimensions among it of which Python knows the size
  std::vector<AskedSizes> questions_; // about the others
  Varying constants_;                 // what a graph has to know
  bool smallSizesApart_ = false;      // a graph for dimensions of 0 and 1 serves no others
  std::vector<Path> paths_;           // that calls have taken, the latest first
  OpaqueSites sites_;
  std::unique_ptr<LaterCompiler> later_; // null where conversions do all themselves
  std::shared_ptr<Kept> failed_;         // in the last call, which could not try another graph
  std::atomic<bool> converting_{false};
  // What stands in the way may be gone later: an optimizer makes its state at its first step.
  static constexpr int kAttempts = 3;
  int failedAttempts_ = 0;
  ExitReason failure_ = ExitReason::CaptureFailed; // of the last of them
  uint64_t nextAttempt_ = 0;                       // the call that may try again
  // For objects that had come back: their graphs run a program that was there.
  uint64_t sharedConversions_ = 0;
  std::atomic<uint64_t> wastedRuns_{0};   // that ended in a failed assumption
  std::atomic<bool> intsOverflow_{false}; // one of them, for Python's have more than 64 bits
  std::atomic<uint64_t> missesInARow_{0};
  ExitReason lastMiss_ = ExitReason::CaptureFailed; // why the last of them was one
};

} // namespace bifront
