// Calls with effects of which nothing is known: where no conversion can do without it, the run
// makes them (opaque_sites.h). What such a call may be given, and what must hold where it is made.
#include "frontend/counting.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/later.h"
#include "frontend/numpy_data.h"
#include "frontend/opaque_sites.h"
#include "frontend/output.h"
#include "frontend/pointers.h"
#include "frontend/stacked_items.h"

#include "capture/python_values.h"

#include <algorithm>
#include <sstream>

namespace bifront {
namespace {

// Or of a package that is installed beside it.
bool isOfStandardLibrary(std::string_view file) {
  static const std::string folder = [] {
    PyRef os = checked(PyImport_ImportModule("os"));
    std::string path = attributeText(os.get(), "__file__");
    return path.substr(0, path.rfind('/') + 1);
  }();
  return file.starts_with(folder) || file.find("/site-packages/") != std::string_view::npos;
}

// A bound method as a function and its first argument, which are the same objects each time.
void unbind(PyRef &callee, std::vector<PyRef> &positional) {
  if (PyMethod_Check(callee.get())) {
    positional.insert(positional.begin(), PyRef::share(PyMethod_GET_SELF(callee.get())));
    callee = PyRef::share(PyMethod_GET_FUNCTION(callee.get()));
  } else {
    callee = unbound(callee.get(), positional);
  }
}

// Where the frame evaluates an expression. Nothing in the files of libraries: what the program
// calls of them is one call.
std::optional<CallPlace> placeIn(const PythonFrame &frame) {
  auto *code = reinterpret_cast<PyCodeObject *>(frame.syntax.code.get());
  const char *file = PyUnicode_AsUTF8(code->co_filename);
  if (!file || isLibraryFile(file) || isOfStandardLibrary(file))
    return std::nullopt;
  if (!frame.expression)
    return CallPlace{file, frame.line};
  const syntax::SourceExtent &at = frame.expression->place;
  return CallPlace{file, at.line, at.column, at.endLine, at.endColumn};
}

} // namespace

// The innermost expression of the program's own files that is being evaluated.
std::string Interpreter::siteNow() const {
  for (const PythonFrame *frame = frame_; frame; frame = frame->caller)
    if (auto at = placeIn(*frame)) {
      std::ostringstream text;
      text << at->file << ":" << at->line << ":" << at->column << "-" << at->endLine << ":"
           << at->endColumn;
      return text.str();
    }
  return {};
}

// A function that the call has made runs code of the one that made it.
PyObject *Interpreter::functionWithCode(PyObject *function) const {
  auto maker = makers_.find(function);
  while (maker != makers_.end()) {
    function = maker->second.second;
    maker = makers_.find(function);
  }
  return function;
}

// A call of a Python function that can be a logged one.
struct Interpreter::WholeCall {
  const PythonFrame &frame;
  const CallPlace &place;
  PyObject *callee;
  std::optional<std::vector<PyRef>> given;
};

PyRef Interpreter::callAtSite(PythonFrame &frame, PyObject *callee, CallArguments arguments) {
  std::optional<CallPlace> place = host_.sites ? placeIn(frame) : std::nullopt;
  if (!place)
    return call(callee, std::move(arguments));
  PyRef original; // of what stands in for a builtin during a capture
  if (callee == print_.get()) {
    original = checked(PyObject_GetAttrString(callee, "__wrapped__"));
    callee = outputWaits() ? callee : original.get();
  }
  std::string name = nameOf(original ? original.get() : callee);
  OpaqueSite *site = host_.sites->find(*place);
  if (site && site->refusal.empty() && site->callee == name) {
    try {
      return callLogged(frame, *place, *site, callee, arguments);
    } catch (const UnknownEffects &why) {
      if (why.isWanted)
        throw;
      host_.sites->refuse(*site, why.what());
      throw UnknownEffects(name + " cannot be an opaque call: " + why.what());
    } catch (const CannotInterpret &why) {
      host_.sites->refuse(*site, why.what());
      throw UnknownEffects(name + " cannot be an opaque call: " + why.what());
    }
  }
  WholeCall whole{frame, *place, callee, givenTo(callee, arguments)};
  size_t writesBefore = log_.writes().size();
  size_t decidedBefore = host_.numDecided ? host_.numDecided() : 0;
  PyRef result;
  try {
    result = call(callee, arguments);
    noteWrites(frame, *place, callee, arguments, writesBefore);
  } catch (UnknownEffects &why) {
    PyObject *function = functionWithCode(frame.function);
    if (!reroutes(function))
      throw;
    if (why.isWanted)
      host_.sites->sampleToo(function);
    else if (canBeGiven(callee, arguments))
      why.isWanted = host_.sites->want(*place, name, function);
    throw;
  } catch (const CannotInterpret &why) {
    wantUser(whole, arguments, why);
    throw;
  }
  wantDecider(whole, result.get(), decidedBefore);
  return result;
}

namespace {

// A result of which the program can do nothing that decides the path again.
bool isPlainResult(PyObject *result) {
  return result == Py_None || isGraphNumber(result) || PyBool_Check(result) ||
         PyLong_CheckExact(result) || PyFloat_CheckExact(result);
}

} // namespace

// The program's objects among what a Python function is given, and it; nothing where it could be no
// logged call. Asked for ahead of the call, which may keep what it is given.
std::optional<std::vector<PyRef>> Interpreter::givenTo(PyObject *callee,
                                                       const CallArguments &arguments) {
  auto isTensor = [](const PyRef &argument) { return bifront::isTensor(argument.get()); };
  if (!(PyFunction_Check(callee) || PyMethod_Check(callee)) ||
      std::ranges::any_of(arguments.positional, isTensor))
    return std::nullopt;
  CallArguments all = arguments;
  PyRef called = PyRef::share(callee);
  unbind(called, all.positional);
  try {
    std::vector<PyRef> given = checkedOperands(all);
    given.push_back(std::move(called));
    return given;
  } catch (const CannotInterpret &) { // it stays what it is
    return std::nullopt;
  } catch (const CannotFork &) { // a list that grows is for code that is walked
    return std::nullopt;
  }
}

// No call takes the way of another where Python has to know that many numbers of the graph.
void Interpreter::wantDecider(const WholeCall &call, PyObject *result, size_t decidedBefore) {
  constexpr size_t kMostDecided = 6;
  if (host_.numDecided && host_.numDecided() - decidedBefore > kMostDecided &&
      isPlainResult(result))
    wantWhole(call, nameOf(call.callee) + " goes another way with each number that it is given",
              /*isWalkable=*/true);
}

// What an opaque call has returned can be given to another one, where it cannot be walked.
void Interpreter::wantUser(const WholeCall &call, const CallArguments &arguments,
                           const CannotInterpret &why) {
  auto isResult = [&](const PyRef &argument) {
    return pointerOf(argument.get()) && opaqueSample(argument.get());
  };
  if (std::ranges::any_of(arguments.positional, isResult))
    wantWhole(call, why.what(), /*isWalkable=*/false);
}

// Throws UnknownEffects where the call may be an opaque one in the next conversion. What reaches
// tensors may be the work of the graph itself.
void Interpreter::wantWhole(const WholeCall &call, const std::string &why, bool isWalkable) {
  PyObject *function = functionWithCode(call.frame.function);
  if (!call.given || !reroutes(function) || reachesTensors(*call.given) ||
      !host_.sites->want(call.place, nameOf(call.callee), function, isWalkable))
    return;
  UnknownEffects wanted(why);
  wanted.isWanted = true;
  throw UnknownEffects(wanted);
}

bool Interpreter::isLoggedCall(const PythonFrame &frame, PyObject *callee) const {
  if (!host_.sites || host_.sites->isEmpty())
    return false;
  std::optional<CallPlace> place = placeIn(frame);
  const OpaqueSite *site = place ? host_.sites->find(*place) : nullptr;
  return site && site->refusal.empty() && site->callee == nameOf(callee);
}

// `tensor.tolist()` is a list that the run makes, however long, and that nobody else has.
PyRef Interpreter::argumentOfLogged(PythonFrame &frame, const syntax::Expr &argument) {
  auto *method = callOfToList(argument);
  if (!method)
    return eval(frame, argument);
  PyRef object = eval(frame, *method->object);
  if (!isProxyTensor(object.get()) || !isExactTensor(object.get()) ||
      isOfNoDimension(object.get())) {
    const syntax::Expr *around = std::exchange(frame.expression, &argument);
    PyRef made = callAtSite(frame, attribute(object.get(), method->name.get()).get(), {});
    frame.expression = around;
    return made;
  }
  static PyObject *const toList =
      typeAttribute(reinterpret_cast<PyTypeObject *>(THPVariableClass)->tp_base, "tolist");
  CallArguments arguments;
  arguments.positional.push_back(object);
  ValueId list = recordCall(toList, arguments);
  listsForCalls_.insert(list);
  return makePointer(list);
}

namespace {

std::pair<PyRef, PyRef> placeOf(const PythonWrite &write) {
  if (write.kind == PythonWrite::Kind::Call)
    return {write.values.empty() ? PyRef() : write.values[0], PyRef()};
  return {write.slot.object, write.slot.key};
}

} // namespace

// Where the source of the function is read.
bool Interpreter::reroutes(PyObject *function) {
  Hidden fromOthers(*this);
  return host_.reroutes(function);
}

// Of a call that could be an opaque one.
void Interpreter::noteWrites(const PythonFrame &frame, const CallPlace &place, PyObject *callee,
                             const CallArguments &arguments, size_t writesBefore) {
  const std::vector<PythonWrite> &writes = log_.writes();
  PyObject *function = functionWithCode(frame.function);
  if (writes.size() <= writesBefore || !reroutes(function))
    return;
  CallArguments all = arguments;
  PyRef called = PyRef::share(callee);
  unbind(called, all.positional);
  all.positional.push_back(called);
  WritingCall made{place, nameOf(callee), PyRef::share(function), {}, {}};
  try {
    made.ofProgram = checkedOperands(all);
  } catch (const CannotInterpret &) { // it stays what it is
    return;
  }
  for (size_t i = writesBefore; i < writes.size(); ++i)
    made.slots.push_back(bifront::placeOf(writes[i]));
  writingCalls_.push_back(std::move(made));
}

bool Interpreter::reachesTensors(const std::vector<PyRef> &objects) const {
  PyRef reached = host_.reachedByCall(tupleOf(objects).get());
  PyObject *address = nullptr, *object = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(reached.get(), &at, &address, &object);)
    if (isTensor(object))
      return true;
  return false;
}

// Not the work of the graph itself: what reaches no tensors.
void Interpreter::wantWriterOf(const PythonWrite &write) {
  auto isThere = [&, place = bifront::placeOf(write)](const std::pair<PyRef, PyRef> &slot) {
    return slot.first.get() == place.first.get() && slot.second.get() == place.second.get();
  };
  for (const WritingCall &call : writingCalls_) {
    if (std::none_of(call.slots.begin(), call.slots.end(), isThere) ||
        reachesTensors(call.ofProgram) ||
        !host_.sites->want(call.place, call.callee, call.function.get()))
      continue;
    UnknownEffects wanted(call.callee + " changes what an opaque call may see");
    wanted.isWanted = true;
    throw UnknownEffects(wanted);
  }
}

PyRef Interpreter::callLogged(PythonFrame &frame, const CallPlace &place, OpaqueSite &site,
                              PyObject *callee, const CallArguments &arguments) {
  PyObject *function = functionWithCode(frame.function);
  if (!reroutes(function))
    throw CannotInterpret("its code cannot be copied");
  auto isSame = [&](const PyRef &other) { return other.get() == function; };
  if (std::none_of(site.functions.begin(), site.functions.end(), isSame))
    site.functions.push_back(PyRef::share(function));
  GlobalModes modes = GlobalModes::now();
  const bool grad = std::exchange(modes.grad, modes_.grad);
  if (modes != modes_)
    throw CannotInterpret("one of PyTorch's modes is switched there");
  CallArguments all = arguments;
  PyRef called = PyRef::share(callee);
  unbind(called, all.positional);
  all.positional.insert(all.positional.begin(), called);
  checkPending(checkedOperands(all));
  PyRef caller = host_.logged(place, site, framesAt(frame), grad);
  return opaqueResult(recordCall(called.get(), caller.get(), all, /*isLogged=*/true),
                      {site.sample});
}

// The program's objects among what a logged call is given.
std::vector<PyRef> Interpreter::checkedOperands(const CallArguments &arguments) {
  std::vector<PyRef> ofProgram;
  for (const PyRef &argument : arguments.positional)
    checkLoggedOperand(argument.get(), ofProgram);
  for (const auto &[keyword, argument] : arguments.keywords)
    checkLoggedOperand(argument.get(), ofProgram);
  return ofProgram;
}

bool Interpreter::canBeGiven(PyObject *callee, CallArguments arguments) {
  PyRef called = PyRef::share(callee);
  unbind(called, arguments.positional);
  try {
    checkedOperands(arguments);
  } catch (const CannotInterpret &) {
    return false;
  }
  return true;
}

namespace {

// Of lists and dicts, each run makes one for the call, which may keep it.
void refuseKept(PyObject *container, int depth) {
  constexpr Py_ssize_t ofTheCall = 3, ofAnother = 2; // the log's, and the caller's and ours
  if (Py_REFCNT(container) > (depth == 0 ? ofTheCall : ofAnother))
    throw CannotInterpret(std::string("it is given a ") + Py_TYPE(container)->tp_name +
                          " that the program keeps");
}

} // namespace

// Numbers of the graph, what is the same object at each run, and texts, tuples, lists and dicts of
// these.
void Interpreter::checkLoggedOperand(PyObject *operand, std::vector<PyRef> &ofProgram, int depth) {
  if (isGraphNumber(operand) || (isImmutable(operand) && !PyTuple_Check(operand)))
    return;
  if (depth > kDeepestSequence)
    throw CannotInterpret("it is given tuples in tuples");
  if (isLater(operand))
    return checkLoggedOperand(laterArguments(operand), ofProgram, depth);
  if (PyTuple_CheckExact(operand)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(operand); ++i)
      checkLoggedOperand(PyTuple_GET_ITEM(operand, i), ofProgram, depth + 1);
    return;
  }
  if (PyList_CheckExact(operand) && log_.isFresh(operand)) {
    refuseStackedIn(operand);
    refuseKept(operand, depth);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(operand); ++i)
      checkLoggedOperand(PyList_GET_ITEM(operand, i), ofProgram, depth + 1);
    return;
  }
  if (PyDict_CheckExact(operand) && log_.isFresh(operand)) {
    refuseKept(operand, depth);
    if (log_.hasNumbered(operand))
      throw CannotInterpret("it is given a dict that has items under numbers of the graph");
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(operand, &at, &key, &item);) {
      if (!isPlain(key))
        throw CannotInterpret("it is given a dict with other keys than texts and numbers");
      checkLoggedOperand(item, ofProgram, depth + 1);
    }
    return;
  }
  if (auto pointer = pointerOf(operand)) {
    if (listsForCalls_.contains(*pointer))
      return;
    // What nobody can change, the rerun may make anew.
    std::vector<PyRef> seen = lanes_.seen(*pointer);
    bool isPlainValue =
        !seen.empty() && std::all_of(seen.begin(), seen.end(), [](const PyRef &object) {
          return isNumpyScalar(object.get()) ||
                 (isImmutable(object.get()) && !PyTuple_Check(object.get()));
        });
    if (!isPlainValue)
      throw CannotInterpret("it is given an object that differs from call to call");
    return;
  }
  if (isTensor(operand))
    throw CannotInterpret("it is given a tensor");
  refuseStream(operand);
  if (isNumpyScalar(operand))
    return;
  if (log_.isFresh(operand) && !PyCFunction_Check(operand) && !PyMethod_Check(operand))
    throw CannotInterpret(std::string("it is given a ") + Py_TYPE(operand)->tp_name +
                          " that the call has made");
  if (host_.isReplaced && (host_.isReplaced(operand) || host_.isCopy(operand)))
    throw CannotInterpret("it is given an object that differs from call to call");
  PyObject *self = PyMethod_Check(operand)      ? PyMethod_GET_SELF(operand)
                   : PyCFunction_Check(operand) ? PyCFunction_GET_SELF(operand)
                                                : nullptr;
  if (self && self != operand && !PyModule_Check(self) && !PyType_Check(self))
    checkLoggedOperand(self, ofProgram, depth + 1);
  ofProgram.push_back(PyRef::share(operand));
}

// What the graph leaves for its end, the call must not see: CPython would have done it before.
void Interpreter::checkPending(const std::vector<PyRef> &ofProgram) {
  std::vector<PyObject *> addresses;
  for (const PyRef &object : ofProgram)
    addresses.push_back(object.get());
  auto &[kept, reached] = reachedFrom_[addresses];
  if (!reached) { // the walk changes nothing of it, or the call is refused
    kept = ofProgram;
    reached = host_.reachedByCall(tupleOf(ofProgram).get());
    reachedByCalls_.push_back(reached);
  }
  for (const PythonWrite &write : log_.writes())
    if (isSeen(write, reached.get()))
      wantWriterOf(write);
  bool hasPending = log_.hasPending(reached.get());
  if (hasPending && log_.hasPostponed() && outputWaits() && host_.policies)
    throw CannotFork(outputSite(), Policy::OneWay, "an opaque call follows what is said");
  if (hasPending)
    throw CannotInterpret("what it may see is changed only when the run is over");
  // No guard watches what is in it, and nothing could put it back.
  PyObject *address = nullptr, *object = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(reached.get(), &at, &address, &object);)
    if (host_.isReplaced && isMutableContainer(object) && host_.isReplaced(object))
      throw CannotInterpret("what it may see holds a container that differs from call to call");
}

// What is in a slot that opaque calls change is read where the program reads it. Null where that is
// taken to be the same at each run.
PyRef Interpreter::readInRun(const Slot &slot, PyObject *value) {
  bool isOfWalk = isGraphNumber(value) || isTensor(value) || pointerOf(value);
  if (!host_.sites || isOfWalk || !host_.sites->isChanged(slot) || log_.hasChanged(slot))
    return {};
  OpaqueObject read{PyRef::share(value)};
  if (auto data = opaque_.of(value))
    read = *data;
  CallArguments none;
  return opaqueResult(recordCall(builtinFunction("getattr"), host_.slotReader(slot).get(), none),
                      std::move(read));
}

std::vector<LoggedFrame> Interpreter::framesAt(const PythonFrame &innermost) const {
  std::vector<LoggedFrame> frames;
  for (const PythonFrame *frame = &innermost; frame; frame = frame->caller)
    frames.push_back({frame->syntax.code, PyRef::share(frame->globals), frame->line});
  return frames;
}

} // namespace bifront
