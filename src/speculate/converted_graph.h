// One graph of a function: its prechecks, its inputs, the native program, and how to make the
// result.
#pragma once

#include "capture/capture_cost.h"
#include "runtime/executor.h"
#include "speculate/exit_reason.h"
#include "speculate/precheck.h"
#include "speculate/python_state.h"
#include "speculate/value_pattern.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bifront {

// Why a graph does not fit a call, and what a more general one would let vary.
struct GraphRefusal {
  ExitReason reason = ExitReason::ArgumentStructure;
  // Per leaf of the arguments, the dimensions to relax; empty where relaxing sizes would not help.
  std::vector<std::vector<bool>> relax;
};

// A tensor that each call brings, or that the graph holds.
struct TensorSource {
  uint32_t leaf = 0; // of the arguments, where there is no `held`
  at::Tensor held;
  const at::Tensor &in(PyObject *const *leaves) const;
};

// Where an input of the graph comes from at each call.
struct GraphInput {
  enum class Kind : uint8_t { Argument, State, Grad } kind;
  TensorSource source;                 // Grad: of the tensor whose .grad it is
  std::optional<TensorPrecheck> check; // of State and Grad; the leaves have theirs
  // State and Grad: its memory when it was last compared with what the graph writes.
  mutable const void *storage = nullptr;
  at::Tensor tensor(PyObject *const *leaves) const;
};

// One leaf of the result.
struct GraphResult {
  enum class Kind : uint8_t { Tensor, Int, Float, Bool, Argument, State } kind;
  uint32_t index = 0; // Tensor and scalars: the program's return; Argument: the arguments' leaf
  PyRef object;       // State: the Python tensor
  bool requiresGrad = false;
};

class ConvertedGraph {
public:
  // Filled by conversion (convert.h), constant afterwards.
  std::vector<ValuePattern> arguments;
  PyRef keywordNames;
  uint32_t numLeaves = 0;
  std::vector<TensorPrecheck> leafChecks;
  GlobalModes modes;
  std::vector<GraphInput> inputs;
  // Dynamic dimensions (leaf, dimension) that were one size and must stay equal.
  std::vector<std::vector<std::pair<uint32_t, int64_t>>> equalDims;
  std::vector<std::pair<TensorSource, bool>> gradPresence; // was .grad defined at the start
  // Whose .grad goes before anything runs, as it does in eager, so that its memory serves the step.
  std::vector<TensorSource> gradsDroppedFirst;
  std::vector<uint32_t> writtenInputs; // whose memory the graph writes
  PythonState pythonState;             // what the function could reach and must not have changed
  bool drawsRandomNumbers = false;
  bool forks = false; // has both ways of branches, where it can
  std::unique_ptr<Executor> executor;
  std::optional<ValuePattern> result;
  std::vector<GraphResult> results;
  CaptureCost captureCost;
  std::vector<std::string> notes; // for reports: what went one way, and why
  std::string moduleText;         // after all passes; for reports

  // Whether this graph may run for these arguments; fills `leaves` (room for numLeaves). All checks
  // are made here, none of them runs Python code.
  std::optional<GraphRefusal> refuses(PyObject *const *args, size_t count, PyObject *names,
                                      PyObject **leaves) const;

private:
  bool argumentsMatch(PyObject *const *args, size_t count, PyObject *names,
                      PyObject **leaves) const;
  GraphRefusal unequalDims(PyObject *const *leaves) const;
  std::optional<GraphRefusal> leavesRefused(PyObject *const *leaves) const;
  bool writesShared(PyObject *const *leaves) const;
};

} // namespace bifront
