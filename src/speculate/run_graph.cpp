// Runs a converted graph for one call: inputs from the leaves and the state, the program, the
// result.
#include "runtime/call_depth.h"
#include "runtime/frame.h"
#include "speculate/convert.h"
#include "speculate/opaque_run.h"
#include "speculate/python_objects.h"
#include "speculate/spent_gradient.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <span>

namespace bifront {
namespace {

// What the interrupt hook throws: the Python exception stays pending.
struct PythonInterrupt : std::exception {
  const char *what() const noexcept override { return "interrupted"; }
};

void throwIfInterrupted() {
  PyGILState_STATE gil = PyGILState_Ensure();
  bool interrupted = PyErr_CheckSignals() != 0;
  PyGILState_Release(gil);
  if (interrupted)
    throw PythonInterrupt();
}

void gatherInputs(const ConvertedGraph &graph, PyObject *const *leaves,
                  std::vector<c10::IValue> &inputs) {
  inputs.clear();
  if (graph.seat) {
    inputs.emplace_back(static_cast<int64_t>(graph.seat->form));
    inputs.resize(graph.seat->firstInput);
  }
  for (const GraphInput &input : graph.inputs)
    inputs.push_back(input.value(leaves));
  if (graph.seat)
    inputs.resize(graph.seat->numInputs);
}

PyObject *wrapResult(const GraphResult &result, PyObject *const *leaves,
                     std::span<const c10::IValue> inputs, std::vector<c10::IValue> &outputs) {
  switch (result.kind) {
  case GraphResult::Kind::Tensor: {
    at::Tensor tensor = outputs[result.index].toTensor();
    if (result.isSpent)
      markSpent(tensor);
    return THPVariable_Wrap(std::move(tensor));
  }
  case GraphResult::Kind::Int: return PyLong_FromLongLong(outputs[result.index].toInt());
  case GraphResult::Kind::Float: return PyFloat_FromDouble(outputs[result.index].toDouble());
  case GraphResult::Kind::Bool: return PyBool_FromLong(outputs[result.index].toBool());
  case GraphResult::Kind::Object: // the run has met it, and holds it
    return Py_NewRef(reinterpret_cast<PyObject *>(outputs[result.index].toInt()));
  case GraphResult::Kind::Input: return THPVariable_Wrap(inputs[result.index].toTensor());
  case GraphResult::Kind::Leaf: return Py_NewRef(leaves[result.index]);
  }
  return nullptr;
}

// Which of the graph's own paths the run has taken.
size_t pathOf(const ConvertedGraph &graph, const std::vector<c10::IValue> &outputs) {
  if (graph.seat)
    return outputs[0].toInt() - graph.seat->firstPath;
  return graph.ends.size() > 1 ? outputs[0].toInt() : 0;
}

using Gradients = std::vector<std::pair<TensorSource, std::optional<uint32_t>>>;

void setGradients(const Gradients &gradients, PyObject *const *leaves,
                  const std::vector<c10::IValue> &outputs) {
  for (const auto &[owner, gradient] : gradients)
    owner.in(leaves).mutable_grad() = gradient ? outputs[*gradient].toTensor() : at::Tensor();
}

// Of what the program of several forms returns, what this one's own would, in its order.
void takeOwnResults(const ConvertedGraph &graph, std::vector<c10::IValue> &outputs,
                    PyObject *const *leaves) {
  const Seat::Path &path = graph.seat->paths[pathOf(graph, outputs)];
  setGradients(path.gradients, leaves, outputs);
  std::vector<c10::IValue> own;
  for (uint32_t result : path.results)
    own.push_back(outputs[result]);
  outputs = std::move(own);
}

// Graphs of a few steps are over before another thread could use the GIL.
bool worthReleasingGil(const Program &program) {
  // With the objects of Python it would come and go.
  auto needsIt = [](const Program &of) {
    return !of.objectReads.empty() || !of.pythonCalls.empty();
  };
  for (const auto &function : program.functions)
    if (needsIt(*function))
      return false;
  return !needsIt(program) &&
         program.calls.size() + program.kernels.size() + program.stores.size() > 8;
}

// Before CPython would raise RecursionError.
uint32_t remainingFrames() {
  PyThreadState *state = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030C0000
  int remaining = state->py_recursion_remaining;
#else
  int remaining = state->recursion_remaining;
#endif
  return static_cast<uint32_t>(std::max(remaining, 0));
}

struct RunBuffers {
  std::vector<c10::IValue> inputs, outputs;
  std::vector<PyRef> held;
};

// Buffers of this thread, one set for each graph that is running in it.
class BorrowedBuffers {
public:
  BorrowedBuffers() {
    if (idle().empty())
      idle().push_back(std::make_unique<RunBuffers>());
    buffers_ = std::move(idle().back());
    idle().pop_back();
  }
  ~BorrowedBuffers() {
    buffers_->inputs.clear();
    buffers_->outputs.clear();
    buffers_->held.clear();
    idle().push_back(std::move(buffers_));
  }
  RunBuffers *operator->() { return buffers_.get(); }

private:
  static std::vector<std::unique_ptr<RunBuffers>> &idle() {
    thread_local std::vector<std::unique_ptr<RunBuffers>> buffers;
    return buffers;
  }
  std::unique_ptr<RunBuffers> buffers_;
};

std::string messageOf(const std::exception_ptr &exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const c10::Error &error) {
    return error.what_without_backtrace();
  } catch (const std::exception &error) {
    return error.what();
  }
}

bool wasInterrupted(const std::exception_ptr &exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const PythonInterrupt &) {
    return true;
  } catch (...) {
    return false;
  }
}

GraphRun assertionFailed(const AssertSpec &assertion) {
  using Status = GraphRun::Status;
  bool isPythons = assertion.message.starts_with(kPathOfPython);
  return {isPythons ? Status::Raised : Status::AssertionFailed, nullptr, assertion.message,
          assertion.location};
}

} // namespace

GraphRun runGraph(const ConvertedGraph &graph, PyObject *const *leaves, OpaqueRun &opaque) {
  static const bool hooked = (setInterruptHook(throwIfInterrupted), true);
  (void)hooked;
  BorrowedBuffers buffers;
  gatherInputs(graph, leaves, buffers->inputs);
  opaque.beginWith(graph, buffers->inputs);
  // Another thread may put something else there while the graph runs.
  for (uint32_t i = graph.numArgumentLeaves; i < graph.numLeaves; ++i)
    buffers->held.push_back(PyRef::share(leaves[i]));
  for (const TensorSource &owner : graph.gradsDroppedFirst)
    owner.in(leaves).mutable_grad().reset();
  KeptObjects kept;
  if (graph.framesPerCall > 0)
    allowCallDepth(remainingFrames() / graph.framesPerCall);
  PyThreadState *released =
      worthReleasingGil(graph.executor->program()) ? PyEval_SaveThread() : nullptr;
  auto given = graph.trainable
                   ? std::make_shared<const GivenToRun>(buffers->inputs, graph.drawsRandomNumbers)
                   : nullptr;
  RunResult run = graph.executor->run(buffers->inputs, buffers->outputs);
  if (released)
    PyEval_RestoreThread(released);

  using Status = GraphRun::Status;
  if (run.status == RunResult::Status::AssertionFailed)
    return assertionFailed(graph.executor->program().asserts[run.assertion]);
  if (run.status == RunResult::Status::Threw) {
    if (wasInterrupted(run.exception))
      return {Status::Interrupted, nullptr, {}};
    return {Status::Raised, nullptr, messageOf(run.exception)};
  }
  if (graph.trainable)
    attachHistory(graph.trainable, std::move(given), buffers->outputs);
  const PathEnd &end = graph.ends[pathOf(graph, buffers->outputs)];
  std::span<const c10::IValue> inputs = buffers->inputs;
  if (graph.seat) {
    takeOwnResults(graph, buffers->outputs, leaves);
    inputs = inputs.subspan(graph.seat->firstInput);
  } else {
    setGradients(end.gradients, leaves, buffers->outputs);
  }
  // In one object, which std::function refers to without an allocation.
  struct {
    const std::vector<GraphResult> &results;
    PyObject *const *leaves;
    std::span<const c10::IValue> inputs;
    std::vector<c10::IValue> &outputs;
  } made{end.results, leaves, inputs, buffers->outputs};
  PyObject *result = end.commit.run(
      [&made](uint32_t leaf) {
        return wrapResult(made.results[leaf], made.leaves, made.inputs, made.outputs);
      },
      graph.callsPython() ? &OpaqueRun::current()->written() : nullptr);
  return {Status::Done, result, {}};
}

} // namespace bifront
