// One graph of a function: its prechecks, its inputs, the native program, and how to make the
// result.
#pragma once

#include "capture/capture_cost.h"
#include "capture/modes.h"
#include "frontend/interpreter_host.h"
#include "runtime/executor.h"
#include "speculate/choices.h"
#include "speculate/exit_reason.h"
#include "speculate/guards.h"
#include "speculate/path.h"
#include "speculate/precheck.h"
#include "speculate/python_commit.h"
#include "speculate/python_state.h"
#include "speculate/trainable_results.h"
#include "speculate/value_pattern.h"
#include "speculate/varying.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bifront {

bool sameKeywords(PyObject *expected, PyObject *names); // either may be null

// How a call differs from those that a graph may run for: a graph with these as inputs would have
// served, as far as can be told.
struct Difference {
  Varying values;
  bool wholly = true;          // nothing else differs
  std::vector<PyRef> replaced; // containers and objects that slots had, and will not be asked for
};

// A tensor that each call brings, or that the graph holds.
struct TensorSource {
  uint32_t leaf = 0; // where there is no `held`
  at::Tensor held;
  const at::Tensor &in(PyObject *const *leaves) const;
};

// Where an input of the graph comes from at each call.
struct GraphInput {
  enum class Kind : uint8_t { Argument, State, Grad, Number, Object } kind;
  TensorSource source; // Grad: of the tensor whose .grad it is; Number, Object: a leaf
  std::optional<TensorPrecheck> check; // of State and Grad; the leaves have theirs
  // State and Grad: its memory when it was last compared with what the graph writes.
  mutable const void *storage = nullptr;
  // What is the same at each call: an Object, or a Grad that the call has met elsewhere too.
  PyRef object = {};
  std::shared_ptr<const Choices> choices = {}; // a Number is that of a value among these
  bool isTensor() const { return kind != Kind::Number && kind != Kind::Object; }
  at::Tensor tensor(PyObject *const *leaves) const;
  c10::IValue value(PyObject *const *leaves) const;
};

// What a run brings to the objects that the call leaves behind.
struct GraphResult {
  enum class Kind : uint8_t { Tensor, Int, Float, Bool, Object, Leaf, Input } kind;
  uint32_t index = 0;   // the program's return; Leaf: which leaf; Input: which input, as it came
  bool isSpent = false; // backward has gone through its history
};

// What a run leaves behind on one path of the graph.
struct PathEnd {
  PythonCommit commit;
  std::vector<GraphResult> results; // the leaves of the commit
  // Tensors whose `.grad` becomes one of the program's returns, or nothing, where that is not among
  // the program's own stores.
  std::vector<std::pair<TensorSource, std::optional<uint32_t>>> gradients;
};

struct CapturedForm;

// What a graph is among the forms of a call that share its program (forms.h).
struct Seat {
  uint32_t form; // the program's first input
  // Its inputs among the program's. The others are not there when it runs.
  uint32_t firstInput, numInputs;
  uint32_t firstPath;
  struct Path {
    std::vector<uint32_t> results; // for each result that it has alone, the program's
    std::vector<std::pair<TensorSource, std::optional<uint32_t>>> gradients; // as PathEnd's
  };
  std::vector<Path> paths;
};

class ConvertedGraph {
public:
  // Filled by conversion (convert.h), constant afterwards.
  std::vector<ValuePattern> arguments;
  PyRef keywordNames;
  // The objects that each call brings anew: first those among the arguments, then those in slots.
  uint32_t numLeaves = 0, numArgumentLeaves = 0;
  std::vector<LeafPlace> leafPlaces;
  std::vector<std::optional<TensorPrecheck>> leafChecks; // of tensors
  std::vector<uint32_t> distinctLeaves;                  // that were different objects, and must be
  std::vector<uint32_t> strangeLeaves; // of these: objects that the call has met in no other way
  std::vector<uint32_t> bareLeaves;    // tensors that have no attributes of their own
  GlobalModes modes;
  std::vector<GraphInput> inputs;
  // Dynamic dimensions (leaf, dimension) that were one size and must stay equal.
  std::vector<std::vector<std::pair<uint32_t, int64_t>>> equalDims;
  std::vector<std::pair<TensorSource, bool>> gradPresence; // was .grad defined at the start
  // Tensors whose .grad is an input that the call has met elsewhere too.
  std::vector<std::pair<TensorSource, uint32_t>> sharedGrads;
  // Whose .grad goes before anything runs, as it does in eager, so that its memory serves the step.
  std::vector<TensorSource> gradsDroppedFirst;
  std::vector<uint32_t> writtenInputs; // whose memory the graph writes
  PythonState pythonState; // traced: what the function could reach and must not have changed
  Guards guards;           // walked: what the call has read
  bool drawsRandomNumbers = false;
  bool forks = false;             // has both ways of branches, where it can
  std::vector<PyRef> rerouted;    // functions whose code makes opaque calls with effects
  std::vector<Slot> changedSlots; // by these calls; it reads them where the program does
  Policies policies;              // of its branches
  bool decides = false;           // has paths for values of arguments that Python knows
  std::shared_ptr<Executor> executor;
  std::string source;                           // what that follows from, where others may run it
  std::optional<Seat> seat;                     // where it shares that with other forms of a call
  std::shared_ptr<const CapturedForm> captured; // null where it cannot
  std::shared_ptr<const TrainableResults> trainable; // null: nothing that is left behind trains
  std::vector<PathEnd> ends; // where there are several, the first return says which
  std::vector<Path> paths;   // that calls have taken, and the graph has
  CaptureCost captureCost;
  uint32_t framesPerCall = 0;     // of CPython, for each call of a function of the graph
  std::vector<std::string> notes; // for reports: what went one way, and why
  std::string moduleText;         // after all passes; for reports

  // Why this graph may not run for these arguments; fills `leaves` (numLeaves nulls). All checks
  // are made here, none of them runs Python code.
  std::optional<ExitReason> refuses(PyObject *const *args, size_t count, PyObject *names,
                                    PyObject **leaves) const;
  // Of a call that it may not run for: nothing where more differs than what could be inputs.
  std::optional<Difference> differs(PyObject *const *args, size_t count, PyObject *names) const;
  // What it keeps for its tensors.
  int64_t bytes() const;
  // Of that, what one run has.
  int64_t arenaBytes() const;
  // Expressions of the program that are opaque calls in it: the lines, and what is called.
  std::vector<std::pair<std::string, std::string>> opaqueCalls() const;
  bool callsPython() const; // for whatever reason
  int traverse(visitproc visit, void *arg) const;

private:
  bool argumentsMatch(PyObject *const *args, size_t count, PyObject *names,
                      PyObject **leaves) const;
  bool sizesAreEqual(PyObject *const *leaves) const;
  bool leavesHold(PyObject *const *leaves) const;
  std::optional<ExitReason> stateRefused(PyObject *const *leaves) const;
  bool leavesAreBare(PyObject *const *leaves) const;
  bool leavesAreOthers(PyObject *const *leaves) const;
  bool writesShared(PyObject *const *leaves) const;
};

} // namespace bifront
