// What the program does with arrays and scalars of numpy: each operation is an opaque call, made
// when the graph runs, since what is in an array nobody can guard. Only functions are called that
// leave nothing behind but their result.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/merge.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"

#include "capture/proxy.h"
#include "support/python_call.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {

// The object that a value of the program is in this call, where that is data of numpy which may be
// another in the next.
PyRef Interpreter::dataOf(PyObject *object) const {
  PyRef sample = opaqueSample(object);
  return sample && isNumpyData(sample.get()) ? sample : PyRef();
}

// Also of a list or a tuple that has such data in it.
bool Interpreter::holdsData(PyObject *object, int depth) const {
  constexpr Py_ssize_t kLongest = 1024;
  if (dataOf(object))
    return true;
  if (!isSequence(object) || depth > kDeepestSequence ||
      PySequence_Fast_GET_SIZE(object) > kLongest)
    return false;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object); ++i)
    if (holdsData(PySequence_Fast_GET_ITEM(object, i), depth + 1))
      return true;
  return false;
}

// Nothing where that is no call of a pure function with such data, or one that makes such data.
std::optional<PyRef> Interpreter::callOnData(PyObject *callee, const CallArguments &arguments) {
  bool hasData = false;
  auto look = [&](const PyRef &argument) { hasData = hasData || holdsData(argument.get()); };
  for (const PyRef &argument : arguments.positional)
    look(argument);
  for (const auto &[name, argument] : arguments.keywords)
    look(argument);
  if (PyObject *self = PyCFunction_Check(callee) ? PyCFunction_GET_SELF(callee) : nullptr)
    hasData = hasData || isNumpyArray(self);
  if (!hasData && !isFunctionOfNumpy(callee))
    return std::nullopt;
  CallArguments all = arguments;
  PyRef function = unbound(callee, all.positional);
  if (auto written = writeOnData(function.get(), all))
    return written;
  if (!isPureOfNumpy(function.get()) || writesToArgument(function.get(), all))
    return std::nullopt;
  return callPure(function.get(), all);
}

PyRef Interpreter::callPure(PyObject *function, const CallArguments &arguments) {
  OpaqueObject result;
  auto look = [&](PyObject *operand) {
    checkOperand(operand);
    std::vector<SharedMemory> of = sharedBy(operand);
    result.shared.insert(result.shared.end(), of.begin(), of.end());
  };
  for (const PyRef &argument : arguments.positional)
    look(argument.get());
  for (const auto &[name, argument] : arguments.keywords)
    look(argument.get());
  result.sample = sampleOf(function, arguments);
  result.selectedBy = selectorOf(function, arguments);
  if (isNumpyArray(result.sample.get()))
    result.sizes = sizesOfResult(function, arguments);
  ValueId value = recordCall(function, arguments);
  if (makesNewData(function) ||
      (!isNumpyArray(result.sample.get()) && !isTensor(result.sample.get())))
    result.shared.clear();
  if (isTensor(result.sample.get()) && result.sharesWithTensor())
    throw CannotInterpret("a tensor shares its memory with another one by way of numpy");
  if (isTensor(result.sample.get()) && !arguments.positional.empty())
    return tensorOfArray(arguments.positional[0].get(), value, std::move(result));
  return opaqueResult(value, std::move(result));
}

PyRef Interpreter::callPure(PyObject *function, std::initializer_list<PyObject *> operands) {
  CallArguments arguments;
  for (PyObject *operand : operands)
    arguments.positional.push_back(PyRef::share(operand));
  return callPure(function, arguments);
}

// Whose memory the data lies in, which must not have been written since: the graph has what was
// there.
std::vector<SharedMemory> Interpreter::sharedBy(PyObject *data) {
  std::vector<SharedMemory> shared;
  if (isSequence(data))
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(data); ++i)
      for (SharedMemory &memory : sharedBy(PySequence_Fast_GET_ITEM(data, i)))
        shared.push_back(std::move(memory));
  else if (auto known = opaque_.of(data))
    shared = std::move(known->shared);
  for (const SharedMemory &memory : shared) {
    if (!memory.tensor) {
      keepApart(data);
      continue;
    }
    if (mayHaveChanged(memory))
      throw CannotInterpret("an array is looked at behind a write to a tensor that may be the same "
                            "memory");
    if (!forks_.empty()) // a loop may run this again
      looksAtMemory_.push_back(memory);
  }
  return shared;
}

// Behind writes to tensors from outside, which the graph makes at its end, an array from outside
// must not be one of these. A loop or a function may run this again behind what follows.
void Interpreter::keepApart(PyObject *data) {
  if (!host_.recording->writesOutside() && forks_.empty() && functions_.empty())
    return;
  std::vector<ValueId> operands{operandOf(data)};
  host_.recording->graph().callPython(kApartCall, held(host_.apart().get()), operands, {}, "");
}

bool Interpreter::mayHaveChanged(const SharedMemory &memory) const {
  const at::Tensor &tensor = THPVariable_Unpack(memory.tensor.get());
  ProxyImpl *proxy = ProxyImpl::of(tensor);
  return tensor._version() != memory.version ||
         (proxy && host_.recording->mayHaveWritten(proxy->value(), memory.writesBefore));
}

// Of the memory that was looked at, but for copies that are made anew whenever that runs again.
bool Interpreter::memoryHasChanged(const Looks &looks) const {
  auto begin = looksAtMemory_.begin();
  return std::any_of(begin + static_cast<ptrdiff_t>(looks.first),
                     begin + static_cast<ptrdiff_t>(looks.second), [&](const SharedMemory &memory) {
                       return host_.recording->graph().isUsable(memory.array) &&
                              mayHaveChanged(memory);
                     });
}

// In what may run again: the next time it is to find there what it has found.
void Interpreter::checkMemoryStays(const Looks &looks) const {
  if (memoryHasChanged(looks))
    throw CannotMerge("a loop or a function writes the memory of an array that it looks at");
}

// `tensor.numpy()`. Nothing for other calls.
std::optional<PyRef> Interpreter::arrayOfTensor(PyObject *callee, const CallArguments &arguments) {
  if (!PyFunction_Check(callee) || arguments.positional.size() != 1 || !arguments.keywords.empty())
    return std::nullopt;
  PyObject *tensor = arguments.positional[0].get();
  auto *base = reinterpret_cast<PyTypeObject *>(THPVariableClass);
  if (!isExactTensor(tensor) || callee != typeAttribute(base, "numpy"))
    return std::nullopt;
  const at::Tensor &like = THPVariable_Unpack(tensor);
  if (like.requires_grad() || like.layout() != at::kStrided || like.is_conj() || like.is_neg())
    return std::nullopt; // CPython raises
  static PyObject *numpy =
      typeAttribute(reinterpret_cast<PyTypeObject *>(THPVariableClass)->tp_base, "numpy");
  ValueId value = held(tensor);
  PyRef known = host_.exampleOf ? host_.exampleOf(value) : PyRef();
  if (!known)
    throw CannotInterpret("what a tensor holds that becomes an array is not known before the run");
  CallArguments example;
  example.positional.push_back(known);
  PyRef sample = sampleOf(numpy, example);
  ValueId array = recordCall(numpy, arguments);
  SharedMemory memory{PyRef::share(tensor), like._version(), host_.recording->numWrites(), array};
  return opaqueResult(array, {sample, {memory}});
}

PyRef Interpreter::dataAttribute(PyObject *object, PyObject *like, PyObject *name) {
  PyObject *descriptor = typeAttribute(Py_TYPE(like), name);
  if (!descriptor)
    return {};
  if (Py_IS_TYPE(descriptor, &PyMethodDescr_Type))
    return checked(PyMethod_New(descriptor, object));
  PyRef sizes =
      PyUnicode_CompareWithASCIIString(name, "shape") == 0 ? knownSizesOf(object) : PyRef();
  if (sizes)
    return sizes;
  for (const char *known :
       {"T", "dtype", "imag", "itemsize", "nbytes", "ndim", "real", "shape", "size"})
    if (PyUnicode_CompareWithASCIIString(name, known) == 0)
      return callPure(builtinFunction("getattr"), {object, name});
  throw CannotInterpret(std::string("an attribute of a ") + Py_TYPE(like)->tp_name);
}

// For an operator whose left side is a tensor: what PyTorch takes a scalar of numpy for.
PyRef Interpreter::numberOfScalar(PyObject *scalar) {
  PyRef like = dataOf(scalar);
  if (!PyFloat_Check(like.get()))
    throw CannotInterpret(std::string("a tensor and a ") + Py_TYPE(like.get())->tp_name +
                          " are operands");
  return callPure(reinterpret_cast<PyObject *>(&PyFloat_Type), {scalar});
}

// An operator that has data of numpy among its operands; nothing where it has none.
std::optional<PyRef> Interpreter::operatorOnData(const char *name, PyObject *left, PyObject *right,
                                                 bool inPlace) {
  PyRef data = dataOf(left);
  bool isOfNumber = (isGraphNumber(left) && isNumpyScalar(right)) ||
                    (isNumpyScalar(left) && isGraphNumber(right));
  if (!data && !dataOf(right) && !isOfNumber)
    return std::nullopt;
  if (inPlace && data && isNumpyArray(data.get()))
    return writeInPlace(name, left, right);
  return callPure(operatorFunction(name), {left, right});
}

} // namespace bifront
