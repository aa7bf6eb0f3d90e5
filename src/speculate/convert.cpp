#include "speculate/convert.h"

#include "capture/capture.h"
#include "capture/derivative.h"
#include "capture/torch_schemas.h"
#include "codegen/compile.h"
#include "ir/graph_recorder.h"
#include "passes/pipeline.h"
#include "speculate/foresee.h"
#include "speculate/link_native.h"
#include "speculate/random_state.h"
#include "speculate/spent_gradient.h"
#include "speculate/walk.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include "llvm/Support/raw_ostream.h"

#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/python_symnode.h>

#include <algorithm>
#include <map>

namespace bifront {
namespace {

PyRef captureEnter, captureExit, reachableState, foreignRandom, restoreForeignRandom;

mlir::MLIRContext &compilerContext() {
  static auto *context = [] { // lives as long as the process: kernels and types are shared
    return new mlir::MLIRContext(mlir::MLIRContext::Threading::DISABLED);
  }();
  return *context;
}

[[noreturn]] void fail(ExitReason reason, const std::string &message) {
  throw ConversionError(reason, message);
}

// The pending Python exception as text; clears it.
std::string takePythonError() {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyRef ownedType = PyRef::steal(type), ownedValue = PyRef::steal(value),
        ownedTrace = PyRef::steal(trace);
  PyRef text = PyRef::steal(value ? PyObject_Str(value) : nullptr);
  const char *message = text ? PyUnicode_AsUTF8(text.get()) : nullptr;
  std::string name = type ? reinterpret_cast<PyTypeObject *>(type)->tp_name : "unknown exception";
  PyErr_Clear();
  return message ? name + ": " + message : name;
}

// The arguments of the call, their patterns, and which of their dimensions vary.
class Arguments {
public:
  explicit Arguments(const ConversionRequest &request) : request_(request) {
    size_t keywords = request.keywordNames ? PyTuple_GET_SIZE(request.keywordNames) : 0;
    for (size_t i = 0; i < request.count + keywords; ++i)
      patterns.push_back(
          ValuePattern::describe(request.args[i], [&](PyObject *value) { return leaf(value); }));
    dynamic_.resize(leaves.size());
    for (size_t i = 0; i < leaves.size(); ++i) {
      dynamic_[i].resize(tensor(i).dim());
      if (i < request.relax.size())
        std::copy(request.relax[i].begin(), request.relax[i].end(), dynamic_[i].begin());
    }
    for (const auto &[argument, dimension] : request.options.dynamic)
      markDynamic(argument, dimension);
  }

  const at::Tensor &tensor(size_t leaf) const { return THPVariable_Unpack(leaves[leaf]); }

  // Sizes of the dimensions in both worlds. Equal sizes are taken to be one dimension: that is what
  // a batch is, and the prechecks hold later calls to it.
  std::vector<Dim> dimsOf(size_t leaf) {
    std::vector<Dim> dims;
    for (int64_t d = 0; d < tensor(leaf).dim(); ++d) {
      int64_t size = tensor(leaf).size(d);
      dims.push_back(isDynamic(leaf, d) ? Dim{{size, otherWorld(size)}} : Dim::fixed(size));
    }
    return dims;
  }

  bool isDynamic(size_t leaf, int64_t d) const {
    return dynamic_[leaf][d] && tensor(leaf).size(d) > 1;
  }

  // Dynamic dimensions that were one size, so that they must stay equal.
  std::vector<std::vector<std::pair<uint32_t, int64_t>>> equalDims() const {
    std::map<int64_t, std::vector<std::pair<uint32_t, int64_t>>> bySize;
    for (uint32_t leaf = 0; leaf < leaves.size(); ++leaf)
      for (int64_t d = 0; d < tensor(leaf).dim(); ++d)
        if (isDynamic(leaf, d))
          bySize[tensor(leaf).size(d)].emplace_back(leaf, d);
    std::vector<std::vector<std::pair<uint32_t, int64_t>>> groups;
    for (auto &[size, group] : bySize)
      if (group.size() > 1)
        groups.push_back(std::move(group));
    return groups;
  }

  std::vector<bool> dynamicDims(size_t leaf) const {
    std::vector<bool> dims(dynamic_[leaf].size());
    for (size_t d = 0; d < dims.size(); ++d)
      dims[d] = isDynamic(leaf, d);
    return dims;
  }

  std::string nameOf(size_t leaf) const { return "arg" + std::to_string(leaf); }

  std::vector<ValuePattern> patterns;
  std::vector<PyObject *> leaves; // borrowed; each tensor once

private:
  std::optional<uint32_t> leaf(PyObject *value) {
    if (!THPVariable_Check(value))
      return std::nullopt;
    if (!THPVariable_CheckExact(value) || !isOrdinaryTensor(THPVariable_Unpack(value)))
      fail(ExitReason::UnsupportedTensor, "an argument is not an ordinary dense CPU tensor");
    auto found = std::find(leaves.begin(), leaves.end(), value);
    uint32_t index = found - leaves.begin();
    if (found == leaves.end())
      leaves.push_back(value);
    return index;
  }

  void markDynamic(const std::variant<int64_t, std::string> &argument, int64_t dimension) {
    size_t position = patterns.size();
    if (auto *index = std::get_if<int64_t>(&argument))
      position = *index;
    else
      for (Py_ssize_t k = 0; request_.keywordNames && k < PyTuple_GET_SIZE(request_.keywordNames);
           ++k)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(request_.keywordNames, k),
                                             std::get<std::string>(argument).c_str()) == 0)
          position = request_.count + k;
    if (position >= patterns.size() || patterns[position].kind() != ValuePattern::Kind::Leaf)
      return; // this call does not pass it, or not as a tensor
    auto &dims = dynamic_[patterns[position].index()];
    int64_t d = dimension < 0 ? dimension + static_cast<int64_t>(dims.size()) : dimension;
    if (d < 0 || d >= static_cast<int64_t>(dims.size()))
      fail(ExitReason::CaptureFailed, "dynamic=: dimension " + std::to_string(dimension) +
                                          " is out of range for a tensor of " +
                                          std::to_string(dims.size()));
    dims[d] = true;
  }

  // A multiple, so that what divides the one size divides the other.
  int64_t otherWorld(int64_t size) {
    static constexpr int64_t factors[] = {3, 5, 7, 11, 13, 17, 19, 23};
    auto [entry, fresh] = factors_.try_emplace(size, factors[factors_.size() % std::size(factors)]);
    return size * entry->second;
  }

  const ConversionRequest &request_;
  std::vector<std::vector<bool>> dynamic_;
  std::map<int64_t, int64_t> factors_;
};

// What capture leaves: the module, the inputs, the shape of the result.
struct Captured {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<CapturedInput> inputs;
  std::optional<ValuePattern> result;
  std::vector<GraphResult> results;
  std::vector<std::pair<uint32_t, bool>> gradPresence;
  std::vector<uint32_t> gradsDroppedFirst;
  CaptureCost cost;
  bool drawsRandomNumbers = false;
  PythonEffects effects;
  std::vector<std::string> notes;
};

std::string textOf(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text;
}

// Bytes that a tensor reaches over.
std::pair<const char *, const char *> extentOf(const at::Tensor &tensor) {
  auto *begin = static_cast<const char *>(tensor.const_data_ptr());
  int64_t last = 0;
  for (int64_t d = 0; d < tensor.dim(); ++d)
    last += (tensor.size(d) - 1) * tensor.stride(d);
  return {begin, tensor.numel() ? begin + (last + 1) * tensor.element_size() : begin};
}

bool overlap(const at::Tensor &a, const at::Tensor &b) {
  auto [beginA, endA] = extentOf(a);
  auto [beginB, endB] = extentOf(b);
  return beginA < endB && beginB < endA;
}

// Runs the Python hooks that reroute torch.autograd and the like to capture.
class HookScope {
public:
  HookScope() {
    if (!PyRef::steal(PyObject_CallNoArgs(captureEnter.get())))
      fail(ExitReason::CaptureFailed, takePythonError());
  }
  ~HookScope() {
    // The function's own exception, where there is one, stays pending.
    PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
    PyErr_Fetch(&type, &value, &trace);
    if (!PyRef::steal(PyObject_CallNoArgs(captureExit.get())))
      PyErr_WriteUnraisable(captureExit.get());
    PyErr_Restore(type, value, trace);
  }
  HookScope(const HookScope &) = delete;
};

// The value behind a torch.SymInt, SymFloat or SymBool; nothing for other objects.
std::optional<c10::SymNode> symbolicNumber(PyObject *value) {
  pybind11::handle handle(value);
  if (torch::is_symint(handle) || torch::is_symfloat(handle) || torch::is_symbool(handle))
    return handle.attr("node").cast<c10::SymNode>();
  return std::nullopt;
}

GraphResult::Kind scalarKind(const c10::SymNode &node) {
  return node->is_int()     ? GraphResult::Kind::Int
         : node->is_float() ? GraphResult::Kind::Float
                            : GraphResult::Kind::Bool;
}

// Turns what the function returned into values of the graph.
class ResultReader {
public:
  ResultReader(Capture &capture, const std::vector<at::Tensor> &proxies)
      : capture_(capture), proxies_(proxies) {}

  ValuePattern read(PyObject *value) {
    return ValuePattern::describe(value, [&](PyObject *leaf) { return leafOf(leaf); });
  }

  std::vector<GraphResult> results;
  std::vector<ValueId> returns;

private:
  std::optional<uint32_t> leafOf(PyObject *value) {
    if (auto known = seen_.find(value); known != seen_.end())
      return known->second;
    std::optional<GraphResult> result;
    if (THPVariable_Check(value) && !THPVariable_CheckExact(value))
      fail(ExitReason::UnsupportedTensor, "a tensor of a subclass is returned");
    if (THPVariable_Check(value))
      result = tensorResult(value, THPVariable_Unpack(value));
    else if (auto node = symbolicNumber(value))
      result = GraphResult{scalarKind(*node), addReturn(capture_.valueOf(*node)), {}, false};
    if (!result)
      return std::nullopt;
    uint32_t index = results.size();
    results.push_back(std::move(*result));
    seen_.emplace(value, index);
    return index;
  }

  GraphResult tensorResult(PyObject *value, const at::Tensor &tensor) {
    for (size_t i = 0; i < proxies_.size(); ++i)
      if (proxies_[i].is_same(tensor))
        return {GraphResult::Kind::Argument, static_cast<uint32_t>(i), {}, false};
    if (!capture_.isProxy(tensor))
      return {GraphResult::Kind::State, 0, PyRef::share(value), false};
    if (capture_.isTrainable(tensor))
      fail(ExitReason::ReturnsTrainable,
           "a returned tensor requires grad, and nothing has gone backward "
           "through its history inside the function");
    return {
        GraphResult::Kind::Tensor, addReturn(capture_.valueOf(tensor)), {}, tensor.requires_grad()};
  }

  uint32_t addReturn(ValueId value) {
    returns.push_back(value);
    return returns.size() - 1;
  }

  Capture &capture_;
  const std::vector<at::Tensor> &proxies_;
  std::map<PyObject *, uint32_t> seen_;
};

// Capture draws nothing: when the random stream has moved, the program seeded it or drew behind
// PyTorch's back. Puts it back in any case.
struct RandomStateGuard {
  ~RandomStateGuard() {
    if (before.moved())
      before.restore();
  }
  RandomState before;
};

// The generators of Python and numpy, which a capture must leave alone as well.
class ForeignRandomGuard {
public:
  ForeignRandomGuard() : before(PyRef::steal(PyObject_CallNoArgs(foreignRandom.get()))) {
    if (!before)
      fail(ExitReason::CaptureFailed, takePythonError());
  }
  ~ForeignRandomGuard() { restore(); }
  // Whether they had moved. The function's own exception, where there is one, stays pending.
  bool restore() {
    PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
    PyErr_Fetch(&type, &value, &trace);
    PyRef moved = PyRef::steal(PyObject_CallOneArg(restoreForeignRandom.get(), before.get()));
    if (!moved)
      PyErr_WriteUnraisable(restoreForeignRandom.get());
    PyErr_Restore(type, value, trace);
    return moved.get() == Py_True;
  }

private:
  PyRef before;
};

// Calls the function on proxies.
Interpretation callOnProxies(Capture &capture, const ConversionRequest &request,
                             const Arguments &arguments, const std::vector<at::Tensor> &proxies,
                             Policies *policies) {
  std::vector<PyRef> wrapped;
  for (const at::Tensor &proxy : proxies)
    wrapped.push_back(PyRef::steal(THPVariable_Wrap(proxy)));
  std::vector<PyRef> values;
  std::vector<PyObject *> borrowed;
  for (const ValuePattern &pattern : arguments.patterns) {
    values.push_back(PyRef::steal(
        pattern.rebuild([&](uint32_t leaf) { return Py_NewRef(wrapped[leaf].get()); })));
    borrowed.push_back(values.back().get());
  }
  if (PyErr_Occurred())
    return {};
  if (!request.options.walked)
    return {PyRef::steal(PyObject_Vectorcall(request.function, borrowed.data(), request.count,
                                             request.keywordNames)),
            {},
            {}};
  return walk(capture, {.function = request.function,
                        .arguments = borrowed,
                        .keywordNames = request.keywordNames,
                        .reachable = reachableState.get(),
                        .policies = policies,
                        .inputFor = {}});
}

// Whether a tensor of the graph outlives the function that made it.
bool keepsProxies(const Capture &capture) {
  if (capture.liveProxies() == 0)
    return false;
  PyGC_Collect(); // it may be garbage in a cycle
  return capture.liveProxies() != 0;
}

TorchDerivatives &torchDerivatives() {
  static TorchDerivatives derivatives;
  return derivatives;
}

// Each number that Python decides by costs as much as running what it depends on.
constexpr size_t kMostForeseen = 64;

void capture(const ConversionRequest &request, Arguments &arguments, Captured &captured,
             Policies *policies = nullptr) {
  useTorchSchemas();
  GraphRecorder recorder(compilerContext(), "step");
  ModesGuard modes;
  GlobalModes modesBefore = GlobalModes::now();
  RandomStateGuard random; // looked at when the capture is over
  ForeignRandomGuard foreignGenerators;
  Capture capture(recorder);
  size_t foreseen = 0;
  capture.recording().foresee = [&](ValueId value) -> std::optional<c10::Scalar> {
    if (++foreseen > kMostForeseen)
      return std::nullopt;
    return foresee(recorder, capture, torchDerivatives(), value);
  };
  std::vector<at::Tensor> proxies;
  for (size_t leaf = 0; leaf < arguments.leaves.size(); ++leaf)
    proxies.push_back(
        capture.addInput(arguments.tensor(leaf), arguments.nameOf(leaf), arguments.dimsOf(leaf)));
  ResultReader reader(capture, proxies);
  {
    HookScope hooks;
    capture.begin();
    Interpretation interpretation = callOnProxies(capture, request, arguments, proxies, policies);
    if (!interpretation.result)
      fail(ExitReason::CaptureFailed, takePythonError());
    captured.result = reader.read(interpretation.result.get());
    captured.effects = std::move(interpretation.effects);
    captured.notes = std::move(interpretation.notes);
    capture.end();
  }
  if (GlobalModes::now() != modesBefore)
    fail(ExitReason::CaptureFailed, "the function leaves one of PyTorch's modes switched");
  proxies.clear();
  if (keepsProxies(capture))
    fail(ExitReason::CaptureFailed,
         "the function keeps a tensor that it computed, in an attribute or a list");
  if (foreignGenerators.restore())
    fail(ExitReason::CaptureFailed, "the function draws from Python's or numpy's generator");
  if (random.before.moved())
    fail(ExitReason::CaptureFailed, "the random number generator is seeded or set");
  captured.results = std::move(reader.results);
  captured.inputs = capture.inputs();
  captured.gradPresence = capture.gradPresence();
  captured.gradsDroppedFirst = capture.gradsDroppedFirst();
  captured.drawsRandomNumbers = capture.drawsRandomNumbers();
  captured.cost = capture.cost();
  captured.module = recorder.finish(reader.returns);
}

// The function ran on proxies: what it did to Python's values must not last.
void captureAndUndo(const ConversionRequest &request, Arguments &arguments, Captured &captured,
                    const PythonState &state) {
  struct Undo {
    const PythonState &state;
    ~Undo() { state.restore(); }
  } undo{state};
  capture(request, arguments, captured);
  if (state.restore())
    fail(ExitReason::CaptureFailed, "the function changes Python values that outlive the call");
}

std::unique_ptr<Executor> compileModule(mlir::ModuleOp module, std::string &text) {
  linkNativeSymbols();
  PipelineResult passes = runPipeline(module, pipelineOptions(), &torchDerivatives());
  if (!passes.ok)
    fail(ExitReason::CompileFailed, passes.failedPass + ": " + passes.reason);
  text = textOf(module);
  try {
    return std::make_unique<Executor>(compile(module, {}));
  } catch (const CodegenError &error) {
    fail(ExitReason::CompileFailed, error.what());
  }
}

// The Python values around the function as they are before it runs.
PythonState readPythonState(const ConversionRequest &request) {
  PyRef args = PyRef::steal(PyTuple_New(request.total()));
  for (size_t i = 0; args && i < request.total(); ++i)
    PyTuple_SET_ITEM(args.get(), i, Py_NewRef(request.args[i]));
  PyRef places =
      PyRef::steal(args ? PyObject_CallFunctionObjArgs(reachableState.get(), request.function,
                                                       args.get(), nullptr)
                        : nullptr);
  PythonState state;
  if (!places || !state.remember(places.get()))
    fail(ExitReason::CaptureFailed, takePythonError());
  return state;
}

// What a walked function has read; it is as it was again.
PythonState stateOf(const PythonEffects &effects) {
  if (!effects.writes.empty())
    fail(ExitReason::CaptureFailed, "the function changes Python values that outlive the call");
  PyRef places = PyRef::steal(PyList_New(0));
  for (const PythonRead &read : effects.reads) {
    PyRef place = read.slot.object;
    if (read.kind == PythonRead::Kind::Type || read.kind == PythonRead::Kind::TypeOf)
      continue;
    if (read.kind == PythonRead::Kind::Slot && read.slot.kind != Slot::Kind::Cell) {
      PyRef key = read.slot.kind == Slot::Kind::Member
                      ? PyRef::steal(PyObject_GetAttrString(read.slot.key.get(), "__name__"))
                      : read.slot.key;
      place = read.slot.kind == Slot::Kind::ListItem
                  ? read.slot.object
                  : PyRef::steal(Py_BuildValue("(O(O))", read.slot.object.get(), key.get()));
    }
    PyList_Append(places.get(), place.get());
  }
  PythonState state;
  if (!state.remember(places.get()))
    fail(ExitReason::CaptureFailed, takePythonError());
  return state;
}

// What the graph reads and writes, and what must hold of it.
void bindInputs(ConvertedGraph &graph, const Captured &captured, const Arguments &arguments) {
  const Program &program = graph.executor->program();
  // addInput was called in the order of the leaves, so that an argument's leaf is its input's
  // index.
  auto sourceOf = [&](uint32_t index) {
    const CapturedInput &input = captured.inputs[index];
    return input.kind == CapturedInput::Kind::Argument ? TensorSource{index, {}}
                                                       : TensorSource{0, input.tensor};
  };
  for (uint32_t i = 0; i < captured.inputs.size(); ++i) {
    const CapturedInput &input = captured.inputs[i];
    const void *storage = input.tensor.storage().unsafeGetStorageImpl();
    switch (input.kind) {
    case CapturedInput::Kind::Argument:
      graph.inputs.push_back({GraphInput::Kind::Argument, sourceOf(i), std::nullopt});
      break;
    case CapturedInput::Kind::State:
      graph.inputs.push_back(
          {GraphInput::Kind::State, sourceOf(i), TensorPrecheck(input.tensor, {}), storage});
      break;
    case CapturedInput::Kind::Grad:
      graph.inputs.push_back({GraphInput::Kind::Grad, sourceOf(input.owner),
                              TensorPrecheck(input.tensor, {}), storage});
      break;
    }
  }
  for (const auto &[input, defined] : captured.gradPresence)
    graph.gradPresence.emplace_back(sourceOf(input), defined);
  // Where an assumption may fail, CPython might take another way and still see the old gradients.
  if (program.asserts.empty())
    for (uint32_t input : captured.gradsDroppedFirst)
      graph.gradsDroppedFirst.push_back(sourceOf(input));
  for (uint32_t leaf = 0; leaf < arguments.leaves.size(); ++leaf)
    graph.leafChecks.emplace_back(arguments.tensor(leaf), arguments.dynamicDims(leaf));
  for (const StoreStep &store : program.stores)
    if (store.attribute.empty())
      graph.writtenInputs.push_back(store.target);
  for (uint32_t written : graph.writtenInputs)
    for (uint32_t other = 0; other < captured.inputs.size(); ++other)
      if (other != written &&
          overlap(captured.inputs[written].tensor, captured.inputs[other].tensor))
        fail(ExitReason::Aliasing, captured.inputs[written].name + " and " +
                                       captured.inputs[other].name +
                                       " share memory, and the function writes there");
}

} // namespace

void setCaptureHooks(const CaptureHooks &hooks) {
  captureEnter = PyRef::share(hooks.enter);
  captureExit = PyRef::share(hooks.exit);
  reachableState = PyRef::share(hooks.reachable);
  foreignRandom = PyRef::share(hooks.randomStates);
  restoreForeignRandom = PyRef::share(hooks.restoreRandom);
}

namespace {

// `policies`: as InterpreterHost's. Throws CannotFork too.
std::shared_ptr<ConvertedGraph> convertOnce(const ConversionRequest &request, Policies *policies) {
  auto graph = std::make_shared<ConvertedGraph>();
  graph->forks = policies != nullptr;
  try {
    Arguments arguments(request);
    Captured captured;
    graph->modes = GlobalModes::now();
    if (request.options.walked) {
      capture(request, arguments, captured, policies);
      graph->pythonState = stateOf(captured.effects);
    } else {
      graph->pythonState = readPythonState(request);
      captureAndUndo(request, arguments, captured, graph->pythonState);
    }
    graph->executor = compileModule(*captured.module, graph->moduleText);
    bindInputs(*graph, captured, arguments);
    graph->keywordNames = PyRef::share(request.keywordNames);
    graph->numLeaves = arguments.leaves.size();
    graph->equalDims = arguments.equalDims();
    graph->arguments = std::move(arguments.patterns);
    graph->drawsRandomNumbers = captured.drawsRandomNumbers;
    graph->captureCost = captured.cost;
    graph->notes = std::move(captured.notes);
    graph->result = std::move(captured.result);
    graph->results = std::move(captured.results);
  } catch (const ConversionError &) {
    throw;
  } catch (const CannotFork &) {
    throw;
  } catch (const c10::Error &error) {
    fail(ExitReason::CaptureFailed, error.what_without_backtrace());
  } catch (const std::exception &error) {
    fail(ExitReason::CaptureFailed, error.what());
  }
  return graph;
}

} // namespace

std::shared_ptr<const ConvertedGraph> convert(const ConversionRequest &request) {
  constexpr int kMostRestarts = 32;
  Policies policies;
  std::string whyNot;
  for (int start = 0; request.forks && start < kMostRestarts; ++start) {
    try {
      return convertOnce(request, &policies);
    } catch (const CannotFork &branch) {
      Policy &policy = policies[branch.site];
      policy = std::max(branch.policy, static_cast<Policy>(static_cast<int>(policy) + 1));
    } catch (const ConversionError &error) { // it may be what the branches have led to
      whyNot = error.what();
      break;
    }
  }
  auto graph = convertOnce(request, nullptr);
  if (!whyNot.empty())
    graph->notes.push_back("with both ways of its branches: " + whyNot);
  return graph;
}

} // namespace bifront
