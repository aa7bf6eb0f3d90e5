// Opaque calls: of C functions that do something which the walk can neither do nor leave to the
// end. They are made when the graph runs, in the program's order. What they return is taken to be
// of the type that a call during the walk returns, which leaves nothing behind.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/later.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"
#include "frontend/random_sources.h"

#include "capture/dispatch_mode.h"
#include "capture/symbolic.h"
#include "support/pending_exception.h"

#include <torch/csrc/Size.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace bifront {
namespace {

// Nobody can tell whether a clock has been looked at twice.
bool readsClock(PyObject *function) {
  static constexpr std::string_view clocks[] = {
      "monotonic",    "monotonic_ns",    "perf_counter", "perf_counter_ns",
      "process_time", "process_time_ns", "time",         "time_ns"};
  return PyCFunction_Check(function) && attributeText(function, "__module__") == "time" &&
         std::find(std::begin(clocks), std::end(clocks), attributeText(function, "__name__")) !=
             std::end(clocks);
}

// What the process is set to, which is asked for in each run.
bool readsSetting(PyObject *function) {
  return PyCFunction_Check(function) && attributeText(function, "__module__") == "sys" &&
         attributeText(function, "__name__") == "getrecursionlimit";
}

// Borrowed.
std::array<PyObject *, 3> partsOf(PyObject *object) {
  auto *slice = reinterpret_cast<PySliceObject *>(object);
  return {slice->start, slice->stop, slice->step};
}

// What is the same object, or as good as that, at each run.
bool isConstant(PyObject *object) {
  if (PyTuple_CheckExact(object)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i)
      if (!isConstant(PyTuple_GET_ITEM(object, i)))
        return false;
    return true;
  }
  if (PySlice_Check(object)) {
    std::array<PyObject *, 3> parts = partsOf(object);
    return std::all_of(parts.begin(), parts.end(), isConstant);
  }
  return (isImmutable(object) && !isGraphNumber(object)) || PyType_Check(object) ||
         isUfuncOfNumpy(object);
}

// Of keys, each of them ahead of its item.
PyObject *makeDict(PyObject *, PyObject *items) {
  PyRef made = PyRef::steal(PyDict_New());
  for (Py_ssize_t i = 0; made && i + 1 < PyTuple_GET_SIZE(items); i += 2)
    if (PyDict_SetItem(made.get(), PyTuple_GET_ITEM(items, i), PyTuple_GET_ITEM(items, i + 1)) < 0)
      return nullptr;
  return made.release();
}

// A function that returns its arguments, as a list, a tuple, a torch.Size or a dict; borrowed.
PyObject *containerMaker(PyObject *like) {
  static PyMethodDef definitions[] = {
      {"tuple", [](PyObject *, PyObject *items) { return Py_NewRef(items); }, METH_VARARGS,
       nullptr},
      {"list", [](PyObject *, PyObject *items) { return PySequence_List(items); }, METH_VARARGS,
       nullptr},
      {"dict", makeDict, METH_VARARGS, nullptr},
      {"Size",
       [](PyObject *, PyObject *items) {
         return PyObject_CallOneArg(reinterpret_cast<PyObject *>(&THPSizeType), items);
       },
       METH_VARARGS, nullptr}};
  static PyObject *makers[] = {
      PyCFunction_New(&definitions[0], nullptr), PyCFunction_New(&definitions[1], nullptr),
      PyCFunction_New(&definitions[2], nullptr), PyCFunction_New(&definitions[3], nullptr)};
  if (THPSize_Check(like))
    return makers[3];
  return makers[PyDict_Check(like) ? 2 : PyList_Check(like) ? 1 : 0];
}

class StatePutBack {
public:
  explicit StatePutBack(PyObject *source) : source_(source), state_(stateOfSource(source)) {}
  ~StatePutBack() {
    PendingException ofTheCall;
    try {
      setStateOfSource(source_, state_.get());
    } catch (const PythonError &) {
      PyErr_WriteUnraisable(source_);
    }
  }
  StatePutBack(const StatePutBack &) = delete;

private:
  PyObject *source_;
  PyRef state_;
};

} // namespace

// Nothing where the callee is none that can be called so.
std::optional<PyRef> Interpreter::callOpaque(PyObject *callee, const CallArguments &arguments) {
  CallArguments all = arguments;
  PyRef function = unbound(callee, all.positional);
  if (isPureOfNumpy(function.get()) && !writesToArgument(function.get(), all))
    return callPure(function.get(), all);
  if (readsClock(function.get()) || readsSetting(function.get()))
    return opaqueResult(recordCall(function.get(), all), {sampleOf(function.get(), all)});
  if (all.positional.empty() || !isRandomSource(all.positional[0].get()) ||
      !drawsFromSource(function.get()) || writesToArgument(function.get(), all))
    return std::nullopt;
  PyObject *source = all.positional[0].get();
  if (log_.isFresh(source))
    throw CannotInterpret("draws from a random generator that the call has made");
  for (size_t i = 1; i < all.positional.size(); ++i)
    checkOperand(all.positional[i].get());
  for (const auto &[name, value] : all.keywords)
    checkOperand(value.get());
  PyRef sample = [&] {
    StatePutBack putBack(source);
    return sampleOf(function.get(), all);
  }();
  return opaqueResult(recordCall(function.get(), all), {sample});
}

// What an opaque call may be given: numbers of the graph, constants, what opaque calls return, data
// of numpy, and lists, tuples and slices of these, which are made again in each run.
void Interpreter::checkOperand(PyObject *operand, int depth) {
  if (isConstant(operand) || isGraphNumber(operand))
    return;
  if (isMadeOfItems(operand)) {
    if (depth > kDeepestSequence)
      throw CannotInterpret("an opaque call is given lists in lists");
    if (PyList_Check(operand))
      log_.readContainer(operand);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(operand); ++i)
      checkOperand(PySequence_Fast_GET_ITEM(operand, i), depth + 1);
    return;
  }
  if (PySlice_Check(operand)) {
    for (PyObject *part : bifront::partsOf(operand))
      checkOperand(part, depth + 1);
    return;
  }
  PyRef sample = opaqueSample(operand);
  if (!sample)
    throw CannotInterpret(std::string("an opaque call is given a ") + Py_TYPE(operand)->tp_name);
  if (isNumpyData(sample.get()) && holdsObjects(sample.get()))
    throw CannotInterpret("an array holds objects of Python");
  auto pointer = pointerOf(operand);
  if (pointer && opaque_.find(*pointer)->mayBeNone)
    assertClasses(*pointer, {Py_TYPE(sample.get())});
  sharedBy(operand); // is still as it was
}

// What is in a list, a tuple or an array of which the walk knows a sample, as a tuple: as much as
// is in the sample, which is asserted. Null for other objects.
PyRef Interpreter::opaqueItems(PyObject *object) {
  constexpr Py_ssize_t kMost = 64;
  PyRef sample = opaqueSample(object);
  bool isArray = sample && isNumpyArray(sample.get());
  if (!isArray && (!sample || !isSequence(sample.get())))
    return {};
  Py_ssize_t size = checked(PyObject_Size(sample.get()));
  if (size > kMost)
    throw CannotInterpret("goes through a long array or list that only the run knows");
  PyRef length = isArray ? callPure(builtinFunction("len"), {object}) : pointerLength(object);
  return countedItems(object, length.get(), static_cast<size_t>(size));
}

// The items of what only the run knows, in a tuple; that there are as many is asserted.
PyRef Interpreter::countedItems(PyObject *object, PyObject *length, size_t count) {
  GraphRecorder &graph = host_.recording->graph();
  ValueId sizes[] = {held(length), graph.constantInt(static_cast<int64_t>(count))};
  graph.assertTrue(graph.scalar(ScalarOp::Eq, sizes), "there are as many items");
  PyRef items = checked(PyTuple_New(static_cast<Py_ssize_t>(count)));
  for (size_t i = 0; i < count; ++i) {
    PyRef index = checked(PyLong_FromSize_t(i));
    PyTuple_SET_ITEM(items.get(), static_cast<Py_ssize_t>(i), item(object, index.get()).release());
  }
  return items;
}

// What stands for an object of which the walk knows a sample; null for others, a scalar from
// outside among them, which is the number that it is.
PyRef Interpreter::opaqueSample(PyObject *object) const {
  if (isNumpyScalar(object))
    return {};
  auto known = opaque_.of(object);
  return known ? known->sample : PyRef();
}

// What the call returns for what its arguments will be in this call of the program.
PyRef Interpreter::sampleOf(PyObject *function, const CallArguments &arguments) {
  CallArguments examples;
  for (const PyRef &argument : arguments.positional)
    examples.positional.push_back(exampleFor(argument.get()));
  for (const auto &[name, argument] : arguments.keywords)
    examples.keywords.emplace_back(name, exampleFor(argument.get()));
  CaptureMode::Pause notTheProgram;
  NumpyErrors untilTheRun("ignore");
  return callDirectly(function, examples);
}

PyRef Interpreter::exampleFor(PyObject *operand) {
  if (PyRef sample = opaqueSample(operand))
    return sample;
  if (isMadeOfItems(operand) && !isConstant(operand)) {
    PyRef items = checked(PyList_New(0));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(operand); ++i)
      checked(PyList_Append(items.get(), exampleFor(PySequence_Fast_GET_ITEM(operand, i)).get()));
    return PyList_Check(operand) ? items : checked(PyList_AsTuple(items.get()));
  }
  if (PySlice_Check(operand)) {
    std::vector<PyRef> parts;
    for (PyObject *part : bifront::partsOf(operand))
      parts.push_back(exampleFor(part));
    return checked(PySlice_New(parts[0].get(), parts[1].get(), parts[2].get()));
  }
  PyRef example = exampleOfNumber(operand);
  if (!example)
    throw CannotInterpret("what an opaque call is given is not known before the run");
  return example;
}

// Other objects are themselves. To ask the host costs as much as to run what leads to the number.
PyRef Interpreter::exampleOfNumber(PyObject *number, int depth) {
  constexpr int kDeepest = 64;
  if (!isGraphNumber(number))
    return PyRef::share(number);
  auto noted = numberExamples_.find(SymbolicScalar::of(symbolicNumber(number)));
  if (noted == numberExamples_.end() || depth > kDeepest)
    return host_.exampleOf ? host_.exampleOf(held(number)) : PyRef();
  NumberExample &example = noted->second;
  if (!example.known && !std::exchange(example.isAsked, true)) {
    PyRef left = exampleOfNumber(example.left.get(), depth + 1);
    PyRef right = example.right.get() == example.left.get()
                      ? left
                      : exampleOfNumber(example.right.get(), depth + 1);
    CaptureMode::Pause notTheProgram;
    if (left && right)
      example.known = PyRef::steal(example.compute(left.get(), right.get()));
    PyErr_Clear(); // division by zero and the like
    if (!example.known && host_.exampleOf)
      example.known = host_.exampleOf(held(number));
  }
  return example.known;
}

ValueId Interpreter::recordCall(PyObject *function, const CallArguments &arguments, bool isLogged) {
  return recordCall(function, function, arguments, isLogged);
}

// Of what is to do what the function does.
ValueId Interpreter::recordCall(PyObject *function, PyObject *called,
                                const CallArguments &arguments, bool isLogged) {
  GraphRecorder &graph = host_.recording->graph();
  graph.setLocation(host_.recording->sourceLine());
  std::vector<ValueId> operands;
  std::vector<std::string> keywords;
  for (const PyRef &argument : arguments.positional)
    operands.push_back(operandOf(argument.get(), isLogged));
  for (const auto &[name, argument] : arguments.keywords) {
    operands.push_back(operandOf(argument.get(), isLogged));
    keywords.emplace_back(PyUnicode_AsUTF8(name.get()));
  }
  return graph.callPython(nameOf(function), held(called), operands, keywords, siteNow());
}

// `isLogged`: of a call with effects, which may change a list from before it.
ValueId Interpreter::operandOf(PyObject *object, bool isLogged) {
  if (isLater(object)) { // which is needed now
    CallArguments arguments;
    PyObject *all = laterArguments(object);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(all); ++i)
      arguments.positional.push_back(PyRef::share(PyTuple_GET_ITEM(all, i)));
    return recordCall(laterFunction(object), arguments);
  }
  bool isItself = isLogged && PyList_Check(object) && !log_.isFresh(object);
  bool isOwnDict = isLogged && PyDict_CheckExact(object) && log_.isFresh(object);
  if (!isOwnDict &&
      (isConstant(object) || isItself || (!isMadeOfItems(object) && !PySlice_Check(object))))
    return held(object);
  std::vector<ValueId> items;
  if (PySlice_Check(object)) {
    for (PyObject *part : bifront::partsOf(object))
      items.push_back(operandOf(part, isLogged));
    auto *type = reinterpret_cast<PyObject *>(&PySlice_Type);
    return host_.recording->graph().callPython("slice", held(type), items, {}, siteNow());
  }
  if (isOwnDict) {
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(object, &at, &key, &item);) {
      items.push_back(held(key));
      items.push_back(operandOf(item, isLogged));
    }
  } else {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object); ++i)
      items.push_back(operandOf(PySequence_Fast_GET_ITEM(object, i), isLogged));
  }
  return host_.recording->graph().callPython(Py_TYPE(object)->tp_name, held(containerMaker(object)),
                                             items, {}, siteNow());
}

// In the program's hands: what no op has to know is a pointer.
PyRef Interpreter::opaqueResult(ValueId value, OpaqueObject result) {
  PyRef sample = result.sample;
  auto type = graphTypeOf({sample});
  if (!type || type->kind == ValueType::Kind::Tensor) {
    opaque_.note(value, std::move(result));
    PyRef object = objectOf(value);
    if (pointerOf(object.get()))
      assertClasses(value, {Py_TYPE(sample.get())});
    return object;
  }
  // Not the sample's value, which another draw does not have.
  PyRef number =
      numberForPython(SymbolicScalar::ofValue(host_.recording->shared_from_this(), kindOf(*type),
                                              host_.recording->graph().unbox(value, *type)));
  numberExamples_[SymbolicScalar::of(symbolicNumber(number.get()))] = {number, sample, {},
                                                                       {},     {},     true};
  return number;
}

} // namespace bifront
