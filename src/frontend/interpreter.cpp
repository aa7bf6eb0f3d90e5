#include "frontend/interpreter.h"

#include "capture/merged_history.h"
#include "capture/python_values.h"
#include "capture/recording.h"
#include "frontend/callbacks.h"
#include "frontend/kinds.h"
#include "frontend/other_walk.h"
#include "frontend/pointers.h"
#include "frontend/recursion.h"

#include <algorithm>

namespace bifront {
namespace {

// The object that a value of the graph always is; null for others.
PyRef constantAt(Recording &recording, ValueId value) {
  if (PyObject *object = recording.objectAt(value))
    return PyRef::share(object);
  GraphRecorder &graph = recording.graph();
  if (auto truth = graph.constantOf(value))
    return PyRef::share(*truth ? Py_True : Py_False);
  auto number = graph.constantIntOf(value);
  return number ? checked(PyLong_FromLongLong(*number)) : PyRef();
}

} // namespace

Interpreter::Interpreter(const InterpreterHost &host)
    : host_(host), print_(PyRef::share(PyDict_GetItemString(PyEval_GetBuiltins(), "print"))),
      lanes_([recording = host.recording](ValueId value) { return constantAt(*recording, value); }),
      opaque_(*host.recording, lanes_) {
  host_.recording->unsure = [this](const MergedHistory &history, const std::string &why) {
    refuse(std::make_exception_ptr(otherWalk(*host_.policies, history, why)));
  };
  host_.recording->oneWay = [this](const void *site, const std::string &why) {
    refuse(std::make_exception_ptr(CannotFork(site, Policy::OneWay, why)));
  };
  host_.recording->walkedHooks = [this](PyObject *hooks) { return walkedHooks(hooks); };
}

Interpreter::~Interpreter() {
  host_.recording->unsure = nullptr;
  host_.recording->oneWay = nullptr;
  host_.recording->walkedHooks = nullptr;
  endCallbacks();
}

void Interpreter::endCallbacks() {
  for (size_t i = 0; i < callbacks_.size(); ++i) // which may grow by what ends
    if (auto callback = callbacks_[i].lock(); callback && !callback->ended) {
      callback->ended = true;
      callback->end();
    }
}

// Generators that were left half way run their `finally` now, which CPython may do earlier.
PythonEffects Interpreter::finish() {
  definedFunctions_.clear(); // with the tensors that they were walked with
  PythonLog::Mark before = log_.mark();
  endCallbacks();
  endedWithEffects_ = !log_.changesSince(before).empty() || log_.hasCalledSince(before);
  std::set<size_t> unseen;
  for (size_t i = 0; i < numGiven_; ++i)
    if (!log_.isSeen(i))
      unseen.insert(i);
  PythonEffects effects = log_.finish();
  for (size_t i : unseen)
    unseenInputs_.insert(effects.inputs[i].input);
  std::erase_if(effects.inputs, [&](const SlotInput &input) {
    PyObject *value = input.value.get();
    bool isAttribute = PyDict_Check(input.slot.object.get()) ||
                       input.slot.kind == Slot::Kind::Member; // not of a list, or its length
    return isAttribute && unseenInputs_.contains(input.input) &&
           (PyLong_Check(value) || PyFloat_Check(value));
  });
  effects.isKept = [leaving = opaque_.leaving(), any = opaque_.sharesNothing(),
                    choices = opaque_.choices()](PyObject *object) {
    auto pointer = pointerOf(object);
    return pointer && !choices.contains(*pointer) && (any || leaving.contains(*pointer));
  };
  return effects;
}

PyRef Interpreter::run(PyObject *callee, CallArguments arguments) {
  PointerGuard pointers([this] {
    try {
      for (const auto &[value, choice] : opaque_.choices()) // it may be one
        refuseChoice(choice);
      throw CannotInterpret("an object that differs from call to call is used in C");
    } catch (const std::exception &) {
      refuse(std::current_exception());
    }
  });
  try {
    PyRef result = call(callee, std::move(arguments));
    rethrowRefusal();
    for (const PythonWrite &write : log_.writes())
      for (const PyRef &value : write.values)
        refuseChoice(value.get());
    checkGrownLists();
    log_.releaseCells();
    log_.releaseIterators();
    for (const auto &made : callbacks_)
      if (auto callback = made.lock(); callback && callback->waits())
        throw CannotInterpret("a generator that the call has made waits when it is over");
    refuseIterators(result.get(), 0);
    return result;
  } catch (const PythonError &) {
    rethrowRefusal();
    throw;
  }
}

// Among the results: an iterator is another object at each run, and spent by what reads it. Nor may
// one of several objects leave.
void Interpreter::refuseIterators(PyObject *result, int depth) const {
  constexpr int kDeepest = 8;
  if (depth > kDeepest || isTensor(result))
    return;
  refuseChoice(result);
  if (callbackOf(result) || (PyIter_Check(result) && log_.isFresh(result)))
    throw CannotInterpret("an iterator that the call has made is returned");
  if (PyTuple_Check(result) || PyList_Check(result))
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(result); ++i)
      refuseIterators(PySequence_Fast_GET_ITEM(result, i), depth + 1);
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Check(result) && PyDict_Next(result, &at, &key, &value);)
    refuseIterators(value, depth + 1);
}

bool Interpreter::readsWhatItWrites(const PythonEffects &effects) const {
  for (PyTypeObject *type : writtenClasses_)
    if (readClasses_.contains(type))
      return true;
  if (readsWhatRunsWrite(effects))
    return true;
  for (const PyRef &list : listsOfRuns_)
    if (isChangedBy(effects.writes, list.get()))
      return true;
  // A container, whose owner is not known.
  bool readsContainers = readClasses_.contains(&PyList_Type) || readClasses_.contains(&PyDict_Type);
  return readsContainers &&
         std::any_of(effects.writes.begin(), effects.writes.end(), [](const PythonWrite &write) {
           return write.kind == PythonWrite::Kind::Call ||
                  write.slot.kind == Slot::Kind::ListItem ||
                  write.slot.kind == Slot::Kind::DictItem;
         });
}

const PythonFrame *Interpreter::programFrame() const {
  for (const PythonFrame *frame = frame_; frame; frame = frame->caller) {
    auto *code = reinterpret_cast<PyCodeObject *>(frame->syntax.code.get());
    const char *file = PyUnicode_AsUTF8(code->co_filename);
    if (file && !isLibraryFile(file))
      return frame;
  }
  return nullptr;
}

} // namespace bifront
