#include "speculate/convert.h"

#include "capture/backward.h"
#include "capture/capture.h"
#include "capture/modes.h"
#include "capture/torch_schemas.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/left_at.h"
#include "frontend/other_walk.h"
#include "frontend/pointers.h"
#include "ir/graph_recorder.h"
#include "speculate/arguments.h"
#include "speculate/capture_hooks.h"
#include "speculate/compile_captured.h"
#include "speculate/compile_graph.h"
#include "speculate/foresee.h"
#include "speculate/path_sizes.h"
#include "speculate/paths.h"
#include "speculate/proxies.h"
#include "speculate/random_state.h"
#include "speculate/reached_by_calls.h"
#include "speculate/result_reader.h"
#include "speculate/spent_gradient.h"
#include "speculate/walk.h"
#include "speculate/young_objects.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/python_symnode.h>

#include <algorithm>
#include <map>
#include <set>

namespace bifront {
namespace {

mlir::MLIRContext &compilerContext() {
  // Lives as long as the process: kernels and types are shared.
  static auto *context = new mlir::MLIRContext(mlir::MLIRContext::Threading::DISABLED);
  return *context;
}

std::string messageOf(const std::exception &error) {
  auto *ofTorch = dynamic_cast<const c10::Error *>(&error);
  return ofTorch ? ofTorch->what_without_backtrace() : error.what();
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

// Those of containers come first: what is in them has its place in their patterns.
std::vector<Slot> slotsOf(const Varying &varying) {
  std::vector<Slot> slots;
  for (const LeafPlace &place : varying.values)
    if (place.slot && place.path.empty())
      slots.push_back(*place.slot);
  std::stable_partition(slots.begin(), slots.end(), [](const Slot &slot) {
    PyRef value = valueIn(slot);
    return value && !isNumberOrTensor(value.get());
  });
  return slots;
}

// Calls the function on proxies.
Interpretation callOnProxies(Capture &capture, const ConversionRequest &request, Proxies &proxies,
                             Policies *policies, bool unrollsAll,
                             const std::function<PyRef(ValueId)> &exampleOf,
                             const std::function<size_t()> &numDecided) {
  std::vector<PyRef> values = proxies.rebuildArguments();
  if (PyErr_Occurred())
    return {};
  std::vector<PyObject *> borrowed;
  for (const PyRef &value : values)
    borrowed.push_back(value.get());
  if (request.options.walked)
    return walk(capture,
                {.function = request.function,
                 .arguments = borrowed,
                 .keywordNames = request.keywordNames,
                 .reachable = reachableStateHook(),
                 .assumesInBranches = request.assumesInBranches,
                 .policies = policies,
                 .unrollsAll = unrollsAll,
                 .varying = slotsOf(request.varying),
                 .inputFor =
                     [&](const Slot &slot, PyObject *value) {
                       return proxies.inputFor(slot, value, request.varying);
                     },
                 .isReplaced = [&](PyObject *object) { return proxies.isReplaced(object); },
                 .isCopy = [&](PyObject *object) { return proxies.isCopy(object); },
                 .exampleOf = exampleOf,
                 .sites = request.sites,
                 .numDecided = numDecided});
  Interpretation called;
  called.result = PyRef::steal(
      PyObject_Vectorcall(request.function, borrowed.data(), request.count, request.keywordNames));
  // Containers in the result are not looked into for who has made them.
  called.effects.isFresh = [](PyObject *object) {
    return PyList_CheckExact(object) || PyDict_CheckExact(object);
  };
  return called;
}

// Slots of numbers that the call finds as the last one left them, and leaves otherwise: counters,
// schedules. They vary, though no two calls have shown it yet.
Varying changedNumbers(const PythonEffects &effects) {
  Varying changed;
  auto isNumber = [](PyObject *value) {
    return value && (PyLong_CheckExact(value) || PyFloat_CheckExact(value));
  };
  for (const PythonWrite &write : effects.writes) {
    if (write.kind != PythonWrite::Kind::SetSlot)
      continue;
    PyObject *now = write.values[0].get();
    for (const PythonRead &read : effects.reads)
      if (read.kind == PythonRead::Kind::Slot && isNumber(read.value.get()) &&
          sameSlot(read.slot, write.slot) && (isNumber(now) || isGraphNumber(now)) &&
          !sameValue(read.value.get(), now))
        changed.add({{{{}, read.slot}}, {}, {}});
  }
  return changed;
}

// No op tells of it: it is done behind each run.
void noteRequiresGrad(const Capture &capture, PythonEffects &effects) {
  static PyObject *const method = [] {
    PyRef base = checked(PyObject_GetAttrString(PyImport_AddModule("torch._C"), "TensorBase"));
    return checked(PyObject_GetAttrString(base.get(), "requires_grad_")).release();
  }();
  for (const auto &[tensor, isSet] : capture.requiresGradSet())
    effects.writes.push_back(
        {PythonWrite::Kind::Call,
         {Slot::Kind::DictItem, PyRef::share(method), {}},
         {PyRef::steal(THPVariable_Wrap(tensor)), PyRef::share(isSet ? Py_True : Py_False)}});
}

// Inputs for slots that the walk has not come to.
void noteUnused(Captured &captured, const Arguments &arguments, const Varying &varying) {
  std::set<uint32_t> used;
  for (const SlotInput &input : captured.slotInputs)
    used.insert(input.input);
  for (uint32_t input = 0; input < arguments.slots.size(); ++input) {
    LeafPlace place{{}, arguments.slots[input].slot};
    if (used.contains(input) || !varying.has(place))
      continue;
    captured.slotInputs.push_back({*place.slot, valueIn(*place.slot), input});
    captured.unused.values.push_back(std::move(place));
  }
}

// What the call leaves behind, as values of the graph; of the effects, the reads are left.
void readResults(Captured &captured, Interpretation &interpretation, const Proxies &proxies,
                 const Arguments &arguments, ResultReader &reader, const Varying &varying,
                 YoungObjects *young) {
  PythonEffects &effects = interpretation.effects;
  reader.isKept = effects.isKept;
  // The dict of an object may be new where the object is not. The collector may hear of another
  // only when a proxy is in it; but what a guard finds in its slot was there before.
  std::set<PyObject *> dicts;
  for (const LeafPlace &place : varying.values)
    if (place.slot)
      dicts.insert(place.slot->object.get());
  for (const PythonRead &read : effects.reads)
    if (read.kind == PythonRead::Kind::Slot && read.value)
      dicts.insert(read.value.get());
  for (const PythonRead &read : effects.reads)
    if (read.kind == PythonRead::Kind::TypeOf && Py_TYPE(read.slot.object.get())->tp_dictoffset)
      dicts.insert(PyRef::steal(PyObject_GenericGetDict(read.slot.object.get(), nullptr)).get());
  PyErr_Clear(); // of objects that show no dict
  Blueprint::Origin origin{
      [&](PyObject *value) { return reader.leafOf(value); }, effects.isFresh,
      [&](PyObject *value) { return young && !dicts.contains(value) && young->contains(value); }};
  try {
    captured.ends.emplace_back().commit.describe(interpretation.result.get(), effects.writes,
                                                 origin);
  } catch (const CannotMake &why) {
    fail(ExitReason::CaptureFailed, why.what());
  }
  captured.changes = changedNumbers(effects);
  for (const PythonRead &read : effects.reads)
    if (auto leaf = PyDict_CheckExact(read.slot.object.get())
                        ? proxies.leafWithDict(read.slot.object.get())
                        : std::nullopt)
      captured.bareLeaves.insert(*leaf);
  for (uint32_t leaf : captured.bareLeaves)
    if (hasAttributes(arguments.object(leaf)))
      fail(ExitReason::CaptureFailed, "attributes of a tensor that differs from call to call");
  captured.reads = std::move(effects.reads);
  captured.slotInputs = std::move(effects.inputs);
  noteUnused(captured, arguments, varying);
  // The patterns of the arguments say what is in them.
  std::erase_if(captured.reads, [&](const PythonRead &read) {
    return proxies.isContainer(read.slot.object.get());
  });
  interpretation = {};
}

// Whether a tensor of the graph outlives the function that made it.
bool keepsProxies(const Capture &capture) {
  return !collectUntil([&] { return capture.liveProxies() == 0; });
}

// Whether the program asks for a number, rather than for a truth, that follows from numbers which
// are inputs: then these have to be constants.
bool needsNumbers(const GraphRecorder &recorder, const Capture &capture, const Arguments &arguments,
                  Captured &captured, ValueId value) {
  if (recorder.typeOf(value).kind == ValueType::Kind::Bool)
    return false;
  mlir::OwningOpRef<mlir::ModuleOp> module = recorder.upTo(value);
  std::vector<mlir::Value> pending;
  module->walk([&](mlir::func::ReturnOp op) { pending.push_back(op.getOperand(0)); });
  std::set<void *> seen;
  bool needed = false;
  while (!pending.empty()) {
    mlir::Value from = pending.back();
    pending.pop_back();
    if (!seen.insert(from.getAsOpaquePointer()).second)
      continue;
    if (mlir::Operation *op = from.getDefiningOp()) {
      // What a branch yields may come from anywhere.
      op->walk([&](mlir::Operation *inside) {
        pending.insert(pending.end(), inside->operand_begin(), inside->operand_end());
      });
      continue;
    }
    uint32_t input = mlir::cast<mlir::BlockArgument>(from).getArgNumber();
    if (!mlir::isa<mlir::func::FuncOp>(from.getParentBlock()->getParentOp()) ||
        capture.inputs()[input].kind != CapturedInput::Kind::Number)
      continue;
    captured.needed.add(arguments.asVarying(captured.leafOfInput.at(input)));
    needed = true;
  }
  return needed;
}

// The gradients that results with a history will have, once there are seeds: more returns.
void captureHistory(Capture &capture, ResultReader &reader, Captured &captured,
                    std::vector<ValueId> &returns) {
  ResultGradients gradients = captureResultGradients(capture, reader.trainable);
  captured.split.numResults = returns.size();
  captured.split.numSeeds = reader.trainable.size();
  captured.trainable.emplace();
  captured.trainable->returns = std::move(reader.trainableReturns);
  captured.trainable->firstSaved = returns.size();
  captured.trainable->trained = std::move(gradients.inputs);
  captured.trainable->from = std::move(gradients.from);
  returns.insert(returns.end(), gradients.gradients.begin(), gradients.gradients.end());
  reader.trainable.clear();
}

// Each number that Python decides by costs as much as running what it depends on.
constexpr size_t kMostForeseen = 64;
constexpr size_t kMostExamples = 128;        // of numbers that trials of opaque calls are given
constexpr size_t kMostForeseenOps = 120'000; // in all captures of a conversion

std::string whereLeft() {
  SourceLine line = leftAt();
  return line.line ? line.file + ":" + std::to_string(line.line) : "";
}

// Each value that decides would repeat all of it. `decided`: sizes that may be constants instead.
void refusePaths(const Capture &capture, const ResultReader &reader, const Varying &decided) {
  constexpr uint64_t kMostOps = 800;
  if (!reader.trainable.empty())
    fail(ExitReason::CaptureFailed, "a result of one of several paths still trains");
  if (capture.cost().ops > kMostOps)
    throw ConversionError(ExitReason::CaptureFailed,
                          "the function is too long for a path for each value",
                          {{}, {}, decided.dimensions});
}

// What the captures of one conversion have in common.
struct Attempts {
  bool decidesSizes = false; // that depend on values: else they are sizes of the graph
  bool metSizes = false;     // there was one
  bool unrollsAll = false;   // loops of any length
  size_t foreseenOps = 0;
  bool foresawTooMuch = false; // more numbers, or ops, than there may be
  bool makesCalls = false;     // opaque ones with effects
};

// As Python has it.
PyRef objectOf(const c10::IValue &value) {
  if (value.isTensor())
    return checked(THPVariable_Wrap(value.toTensor().detach()));
  return checked(value.isBool()  ? PyBool_FromLong(value.toBool())
                 : value.isInt() ? PyLong_FromLongLong(value.toInt())
                                 : PyFloat_FromDouble(value.toDouble()));
}

std::set<std::pair<int64_t, int64_t>> neededOfArguments(Capture &capture,
                                                        const Arguments &arguments) {
  auto sizes = capture.recording().neededSizes();
  std::erase_if(sizes, [&](const auto &size) {
    return capture.recording().isOfValues({{size.first, size.second}}) &&
           !arguments.standsFor(size);
  });
  return sizes;
}

// `policies`: as InterpreterHost's. With them the path is the one that `forced` begins, if any.
void capture(const ConversionRequest &request, Arguments &arguments, Captured &captured,
             Attempts &attempts, Policies *policies = nullptr, const Path *forced = nullptr) {
  useTorchSchemas();
  GraphRecorder recorder(compilerContext(), "step");
  ModesGuard modes;
  leaveDefaultDevice();
  GlobalModes modesBefore = GlobalModes::now();
  RandomStateGuard random; // looked at when the capture is over
  ForeignRandomGuard foreignGenerators;
  Capture capture(recorder);
  if (attempts.decidesSizes)
    capture.recording().decideSizes();
  struct NoteSizes {
    const Recording &recording;
    Attempts &attempts;
    ~NoteSizes() { attempts.metSizes = attempts.metSizes || recording.hasFreeSizes(); }
  } noteSizes{capture.recording(), attempts};
  Path begun = forced ? *forced : Path();
  size_t foreseen = 0, numExamples = 0, assumedInts = 0;
  auto numDecided = [&] { return captured.path.size() + assumedInts; };
  Foresight foresight(recorder, capture, torchDerivatives());
  auto mayForesee = [&] {
    attempts.foreseenOps += foresight.takeCost();
    return attempts.foreseenOps <= kMostForeseenOps;
  };
  auto foreseeNumber = [&](ValueId value) -> std::optional<c10::Scalar> {
    auto found = foresight.of(value);
    return found ? std::optional(found->toScalar()) : std::nullopt;
  };
  // The graph may have as inputs what a number follows from, since nothing is made of its value.
  std::map<ValueId, PyRef> examples; // of numbers
  auto exampleOf = [&](ValueId value) -> PyRef {
    if (auto known = examples.find(value); known != examples.end())
      return known->second;
    if (++numExamples > kMostExamples)
      return {};
    size_t before = foresight.takeCost(); // examples are bounded by their number
    auto found = foresight.of(value);
    foresight.takeCost();
    attempts.foreseenOps += before;
    CaptureMode::Pause notTheProgram;
    PyRef example = found ? objectOf(*found) : PyRef();
    if (found && !found->isTensor())
      examples.emplace(value, example);
    return example;
  };
  // An operator may ask, which runs without the GIL; what there is to look at are Python's objects.
  capture.recording().foresee = [&](ValueId value) -> std::optional<c10::Scalar> {
    pybind11::gil_scoped_acquire gil;
    if (needsNumbers(recorder, capture, arguments, captured, value))
      return std::nullopt;
    assumedInts += recorder.typeOf(value).kind == ValueType::Kind::Int;
    bool isTooMuch = ++foreseen > kMostForeseen || !mayForesee();
    attempts.foresawTooMuch = attempts.foresawTooMuch || isTooMuch;
    return isTooMuch ? std::nullopt : foreseeNumber(value);
  };
  if (policies)
    capture.recording().decide = decisions(recorder, capture, captured, begun, [&](ValueId value) {
      pybind11::gil_scoped_acquire gil;
      return mayForesee() ? foreseeNumber(value) : std::nullopt;
    });
  bool raised = false;
  std::vector<ValueId> returns;
  PathSizes sizes(capture, arguments, captured.path, forced ? &begun : nullptr);
  try {
    // What the arguments decide does not go by the line that calls the function.
    capture.recording().walkedLine = [] { return SourceLine(); };
    Proxies proxies(capture, arguments, sizes, *request.choices, captured.leafOfInput);
    capture.recording().walkedLine = nullptr;
    ResultReader reader(capture, proxies);
    HookScope hooks;
    YoungObjects young;
    forgetLeftAt();
    capture.begin();
    Interpretation interpretation = callOnProxies(capture, request, proxies, policies,
                                                  attempts.unrollsAll, exampleOf, numDecided);
    // What the capture itself has refused the program sees as an exception too.
    raised = !interpretation.result && !capture.recording().failure();
    if (!interpretation.result)
      fail(ExitReason::CaptureFailed, describeException(takeException().get()));
    captured.notes = std::move(interpretation.notes);
    captured.framesPerCall = interpretation.framesPerCall;
    noteRequiresGrad(capture, interpretation.effects);
    std::vector<PyRef> reached = std::move(interpretation.reached);
    attempts.makesCalls = attempts.makesCalls || !reached.empty();
    if (policies) // the walk is over, but another can still begin
      capture.recording().unsure = [&](const MergedHistory &history, const std::string &why) {
        throw otherWalk(*policies, history, why);
      };
    readResults(captured, interpretation, proxies, arguments, reader, request.varying,
                request.options.walked ? &young : nullptr);
    capture.endProgram();
    if (captured.path.size() < begun.size())
      capture.fail(kOtherWay);
    captured.ends[0].results = std::move(reader.results);
    returns = std::move(reader.returns);
    if (!request.varying.choices.empty() || sizes.decideAny())
      refusePaths(capture, reader, request.decided);
    if (!reader.trainable.empty())
      captureHistory(capture, reader, captured, returns);
    capture.end();
    refuseReached(capture, reached, captured.reads, request.sites);
  } catch (const CannotFork &) {
    throw;
  } catch (const std::exception &error) {
    auto *known = dynamic_cast<const ConversionError *>(&error);
    if (capture.recording().failure() == kOtherWay)
      throw ConversionError(ExitReason::CaptureFailed, kOtherWay);
    if (known)
      captured.needed.add(known->needed);
    captured.needed.add(arguments.withSizes(neededOfArguments(capture, arguments)));
    ConversionError why(known ? known->reason : ExitReason::CaptureFailed,
                        known ? known->what() : messageOf(error), captured.needed, raised,
                        whereLeft(), sizes.asked());
    auto *unknown = dynamic_cast<const UnknownEffects *>(&error);
    why.wantsCall = unknown && unknown->isWanted;
    if (captured.path.size() < std::max<size_t>(begun.size(), 1) || !captured.needed.empty() ||
        why.wantsCall)
      throw ConversionError(why);
    captured.refusal = std::string(kPathOfPython) + why.what();
    captured.raised = raised;
    captured.ends.clear();
    captured.trainable.reset();
    captured.inputs = capture.inputs();
    captured.module = recorder.finish({});
    dropUndecided(*captured.module);
    return;
  }
  if (GlobalModes::now() != modesBefore)
    fail(ExitReason::CaptureFailed, "the function leaves one of PyTorch's modes switched");
  if (keepsProxies(capture))
    fail(ExitReason::CaptureFailed,
         "the function keeps a tensor that it computed, in an attribute or a list");
  if (foreignGenerators.restore())
    fail(ExitReason::CaptureFailed, "the function draws from Python's or numpy's generator");
  if (random.before.moved())
    fail(ExitReason::CaptureFailed, "the random number generator is seeded or set");
  captured.inputs = capture.inputs();
  captured.inputs.resize(captured.inputs.size() - captured.split.numSeeds); // which come last
  captured.gradPresence = capture.gradPresence();
  captured.sharedGrads = capture.sharedGrads();
  captured.gradsDroppedFirst = capture.gradsDroppedFirst();
  captured.drawsRandomNumbers = capture.drawsRandomNumbers();
  captured.cost = capture.cost();
  captured.module = recorder.finish(returns);
}

// The function ran on proxies: what it did to Python's values must not last.
void captureAndUndo(const ConversionRequest &request, Arguments &arguments, Captured &captured,
                    Attempts &attempts, const PythonState &state) {
  struct Undo {
    const PythonState &state;
    ~Undo() { state.restore(); }
  } undo{state};
  capture(request, arguments, captured, attempts);
  if (state.restore())
    fail(ExitReason::CaptureFailed, "the function changes Python values that outlive the call");
}

// The Python values around the function as they are before it runs.
PythonState readPythonState(const ConversionRequest &request) {
  PyRef args = PyRef::steal(PyTuple_New(request.total()));
  for (size_t i = 0; args && i < request.total(); ++i)
    PyTuple_SET_ITEM(args.get(), i, Py_NewRef(request.args[i]));
  PyRef places =
      PyRef::steal(args ? PyObject_CallFunctionObjArgs(reachableStateHook(), request.function,
                                                       args.get(), nullptr)
                        : nullptr);
  PythonState state;
  if (!places || !state.remember(places.get()))
    fail(ExitReason::CaptureFailed, describeException(takeException().get()));
  return state;
}

// Of a pointer the run asks what it is.
bool isStrange(const Arguments &arguments, uint32_t leaf) {
  return !arguments.isNumber(leaf) && !arguments.isPointer(leaf);
}

// The program saw an input's proxy or copy, and the object itself elsewhere.
void refuseKnownInputs(const Guards &guards, const Arguments &arguments) {
  for (uint32_t leaf = 0; leaf < arguments.leaves().size(); ++leaf)
    if (isStrange(arguments, leaf) && guards.knows(arguments.object(leaf)))
      throw ConversionError(ExitReason::CaptureFailed, "an input is reached in another way too",
                            arguments.asVarying(leaf));
}

// In the order in which they were described: later patterns refer to leaves of earlier ones.
std::vector<SlotPattern> usedSlots(const Captured &captured, const Arguments &arguments) {
  std::set<uint32_t> used;
  for (const SlotInput &input : captured.slotInputs)
    used.insert(input.input);
  std::vector<SlotPattern> slots;
  for (uint32_t input : used)
    slots.push_back(arguments.slots[input]);
  return slots;
}

// What the graph reads and writes, and what must hold of it.
void bindInputs(ConvertedGraph &graph, const Captured &captured, const Arguments &arguments,
                const std::shared_ptr<const Choices> &choices, bool walked) {
  const Program &program = graph.executor->program();
  auto sourceOf = [&](uint32_t index) { return bifront::sourceOf(captured, index); };
  for (uint32_t i = 0; i < captured.inputs.size(); ++i) {
    const CapturedInput &input = captured.inputs[i];
    if (!input.isTensor()) {
      bool isNumber = input.kind == CapturedInput::Kind::Number;
      auto leaf = captured.leafOfInput.find(i);
      bool isChoice = leaf != captured.leafOfInput.end() && arguments.isChoice(leaf->second);
      graph.inputs.push_back({isNumber ? GraphInput::Kind::Number : GraphInput::Kind::Object,
                              sourceOf(i), std::nullopt, nullptr, input.held,
                              isChoice ? choices : nullptr});
      continue;
    }
    const void *storage = input.tensor.storage().unsafeGetStorageImpl();
    switch (input.kind) {
    case CapturedInput::Kind::Number:
    case CapturedInput::Kind::Object:
    case CapturedInput::Kind::Seed: break;
    case CapturedInput::Kind::Argument:
      graph.inputs.push_back({GraphInput::Kind::Argument, sourceOf(i), std::nullopt});
      break;
    case CapturedInput::Kind::State:
      graph.inputs.push_back(
          {GraphInput::Kind::State, sourceOf(i), TensorPrecheck(input.tensor, {}), storage});
      break;
    case CapturedInput::Kind::Grad: {
      PyRef object = checked(THPVariable_Wrap(input.tensor));
      graph.inputs.push_back({GraphInput::Kind::Grad, sourceOf(input.owner),
                              TensorPrecheck(input.tensor, {}), storage,
                              graph.guards.knows(object.get()) ? std::move(object) : PyRef()});
      break;
    }
    }
  }
  for (const auto &[input, defined] : captured.gradPresence)
    graph.gradPresence.emplace_back(sourceOf(input), defined);
  for (const auto &[owner, input] : captured.sharedGrads)
    graph.sharedGrads.emplace_back(sourceOf(owner), input);
  // Where an assumption may fail, CPython might take another way and still see the old gradients.
  if (program.asserts.empty())
    for (uint32_t input : captured.gradsDroppedFirst)
      graph.gradsDroppedFirst.push_back(sourceOf(input));
  for (uint32_t leaf = 0; leaf < arguments.leaves().size(); ++leaf) {
    graph.leafChecks.emplace_back();
    if (arguments.isTensor(leaf))
      graph.leafChecks.back().emplace(arguments.tensor(leaf), arguments.sizeChecks(leaf));
    if (walked && !arguments.isNumber(leaf))
      graph.distinctLeaves.push_back(leaf);
    if (walked && isStrange(arguments, leaf))
      graph.strangeLeaves.push_back(leaf);
  }
  graph.bareLeaves.assign(captured.bareLeaves.begin(), captured.bareLeaves.end());
  for (const StoreStep &store : program.stores)
    if (store.attribute.empty())
      graph.writtenInputs.push_back(store.target);
  for (uint32_t written : graph.writtenInputs)
    for (uint32_t other = 0; other < captured.inputs.size(); ++other)
      if (other != written && captured.inputs[other].tensor.defined() &&
          overlap(captured.inputs[written].tensor, captured.inputs[other].tensor))
        fail(ExitReason::Aliasing, captured.inputs[written].name + " and " +
                                       captured.inputs[other].name +
                                       " share memory, and the function writes there");
}

// The next call would find another number there than the graph takes it to be, or it would be an
// input that others need not have.
void requireChanges(const ConversionRequest &request, Varying changes, Varying unused) {
  if (!request.changing)
    return;
  changes.remove(*request.changing);
  unused.remove(*request.changing);
  if (request.varying.hasAll(changes) && unused.empty())
    return;
  ConversionError error(ExitReason::CaptureFailed, "a number changes from call to call");
  error.changes = std::move(changes);
  error.unused = std::move(unused);
  throw ConversionError(std::move(error));
}

// The paths of earlier calls. One on which nothing was decided is another only by what is asked
// now.
std::vector<Path> othersOf(const ConversionRequest &request) {
  std::vector<Path> others = request.paths;
  if (request.questions.empty())
    std::erase_if(others, [](const Path &path) { return path.empty(); });
  return others;
}

std::shared_ptr<ConvertedGraph> convertWith(const ConversionRequest &request, Attempts &attempts,
                                            Policies *policies, bool withOthers) {
  auto graph = std::make_shared<ConvertedGraph>();
  graph->forks = policies != nullptr;
  attempts.makesCalls = false;
  try {
    Arguments arguments(request);
    Captured captured;
    graph->modes = GlobalModes::now();
    if (request.options.walked) {
      captured = capturePaths(
          [&](Captured &path, const Path *forced) {
            capture(request, arguments, path, attempts, policies, forced);
          },
          policies, withOthers ? othersOf(request) : std::vector<Path>());
      requireChanges(request, std::move(captured.changes), std::move(captured.unused));
      graph->guards.compile(captured.reads, usedSlots(captured, arguments));
      for (const ValuePattern &pattern : arguments.patterns)
        pattern.forEachIdentity([&](PyObject *object) { graph->guards.know(object); });
      refuseKnownInputs(graph->guards, arguments);
    } else {
      graph->pythonState = readPythonState(request);
      captureAndUndo(request, arguments, captured, attempts, graph->pythonState);
    }
    compileModule(captured, *graph, request);
    bindInputs(*graph, captured, arguments, request.choices, request.options.walked);
    bindEnds(*graph, captured);
    graph->captured = std::move(captured.form);
    graph->keywordNames = PyRef::share(request.keywordNames);
    graph->numLeaves = arguments.leaves().size();
    graph->numArgumentLeaves = arguments.numArgumentLeaves;
    for (uint32_t leaf = 0; leaf < graph->numLeaves; ++leaf)
      graph->leafPlaces.push_back(arguments.placeOf(leaf));
    graph->equalDims = arguments.equalDims();
    graph->arguments = std::move(arguments.patterns);
    graph->drawsRandomNumbers = captured.drawsRandomNumbers;
    graph->captureCost = captured.cost;
    graph->notes = std::move(captured.notes);
    graph->framesPerCall = captured.framesPerCall;
    graph->paths = std::move(captured.paths);
    graph->decides = request.decides();
    if (attempts.makesCalls) {
      graph->rerouted = request.sites->functions();
      graph->changedSlots = request.sites->changedSlots();
    }
  } catch (const ConversionError &) {
    throw;
  } catch (const CannotFork &) {
    throw;
  } catch (const std::exception &error) {
    fail(ExitReason::CaptureFailed, messageOf(error));
  }
  return graph;
}

// `policies`: as InterpreterHost's. Throws CannotFork too.
std::shared_ptr<ConvertedGraph> convertOnce(const ConversionRequest &request, Attempts &attempts,
                                            Policies *policies, bool withOthers = true) {
  attempts.decidesSizes = false;
  try {
    return convertWith(request, attempts, policies, withOthers);
  } catch (const ConversionError &asSizes) {
    if (!attempts.metSizes || !asSizes.needed.empty() || asSizes.isOfInputs() || asSizes.wantsCall)
      throw;
    attempts.decidesSizes = true;
    try {
      return convertWith(request, attempts, policies, withOthers);
    } catch (const ConversionError &) { // what there is to mend is in the first
      throw asSizes;
    }
  }
}

} // namespace

Varying pointersOf(const ConversionRequest &request) {
  Arguments arguments(request);
  Varying pointers;
  for (uint32_t leaf = 0; leaf < arguments.leaves().size(); ++leaf)
    if (arguments.isPointer(leaf))
      pointers.add(arguments.asVarying(leaf));
  return pointers;
}

std::shared_ptr<const ConvertedGraph> convert(const ConversionRequest &request) {
  constexpr int kMostRestarts = 32;
  Attempts attempts{.unrollsAll = request.unrollsAll};
  Policies policies = request.policies;
  if (request.unrollsAll)
    for (const void *loop : std::exchange(policies.longLoops, {}))
      policies.erase(loop);
  if (!request.forks) {
    try {
      return convertOnce(request, attempts, nullptr);
    } catch (const LongLoop &loop) {
      policies[loop.site] = loop.policy;
      policies.longLoops.insert(loop.site);
    } catch (const ConversionError &error) {
      bool mayFork = (attempts.metSizes || attempts.foresawTooMuch) && !error.raised &&
                     error.needed.empty() && !error.isOfInputs() && !error.wantsCall;
      if (!request.options.walked || !(mayFork || isOfText(error.what())))
        throw;
    } // a loop that values decide needs to be one of the graph, a text that is read a path
    attempts.foreseenOps = 0;
  }
  std::string whyNot, whyOnePath, lastFork;
  Varying needed;
  for (int start = 0; start < kMostRestarts; ++start) {
    try {
      auto graph = convertOnce(request, attempts, &policies, whyOnePath.empty());
      if (!whyOnePath.empty())
        graph->notes.push_back("with the paths of earlier calls: " + whyOnePath);
      graph->policies = std::move(policies);
      return graph;
    } catch (const CannotFork &branch) {
      Policy &policy = policies[branch.site];
      policy = std::max(branch.policy, static_cast<Policy>(static_cast<int>(policy) + 1));
      if (dynamic_cast<const LongLoop *>(&branch))
        policies.longLoops.insert(branch.site);
      lastFork = branch.what();
    } catch (const ConversionError &error) { // it may be what the branches have led to
      if (isOfText(error.what()) && policies.emplace(textSite(), Policy::OneWay).second)
        continue;
      if (error.raised || error.question || error.isOfInputs() || error.wantsCall)
        throw;
      if (auto items = policies.find(itemSite());
          items != policies.end() && std::exchange(items->second, Policy::OneWay) != Policy::OneWay)
        continue;
      if (whyOnePath.empty() && error.needed.empty() && !request.decides()) {
        whyOnePath = error.what();
        continue;
      }
      whyNot = error.what();
      needed = error.needed;
      break;
    }
  }
  // It would be a graph for these very objects, or values.
  if (!pointersOf(request).empty() || request.decides())
    throw ConversionError(ExitReason::CaptureFailed, whyNot.empty() ? lastFork : whyNot, needed);
  std::string note = whyNot.empty() ? "" : "with both ways of its branches: " + whyNot;
  attempts.unrollsAll = true;
  try {
    auto graph = convertOnce(request, attempts, nullptr);
    if (!note.empty())
      graph->notes.push_back(note);
    return graph;
  } catch (const ConversionError &error) {
    if (note.empty())
      throw;
    throw ConversionError(error.reason, std::string(error.what()) + "; " + note, error.needed);
  }
}

} // namespace bifront
