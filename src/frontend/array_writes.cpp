// Writes to arrays of numpy: opaque calls like those that read them (numpy_values), which a run
// that fails takes back. The trial of one writes to samples alone.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"

#include <torch/csrc/autograd/python_variable.h>

namespace bifront {

// Nothing where the function writes to no array.
std::optional<PyRef> Interpreter::writeOnData(PyObject *function, const CallArguments &arguments) {
  std::optional<WrittenOperand> written = writtenOperand(function, arguments);
  if (!written)
    return std::nullopt;
  PyObject *array = nullptr;
  for (const auto &[name, value] : arguments.keywords)
    if (written->isOut && PyUnicode_CompareWithASCIIString(name.get(), "out") == 0)
      array = value.get();
  if (!written->isOut && written->position < arguments.positional.size())
    array = arguments.positional[written->position].get();
  PyRef like = array ? dataOf(array) : PyRef();
  if (!like || !isNumpyArray(like.get()))
    return std::nullopt;
  if (opaque_.of(array)->sharesWithTensor())
    throw CannotInterpret("an array in the memory of a tensor is written");
  if (!opaque_.isOurs(like.get()))
    throw CannotInterpret("a large array, or one of objects, is written");
  for (const PyRef &argument : arguments.positional)
    checkOperand(argument.get());
  for (const auto &[name, value] : arguments.keywords)
    checkOperand(value.get());
  bool returnsArray = sampleOf(function, arguments).get() != Py_None;
  recordCall(function, host_.writer(function, *written).get(), arguments);
  return PyRef::share(returnsArray ? array : Py_None);
}

PyRef Interpreter::writeInPlace(const char *name, PyObject *array, PyObject *operand) {
  std::string inPlace = std::string("__i") + (name + 2); // of __add__
  CallArguments arguments;
  arguments.positional = {PyRef::share(array), PyRef::share(operand)};
  return *writeOnData(operatorFunction(inPlace.c_str()), arguments);
}

void Interpreter::setDataItem(PyObject *array, PyObject *key, PyObject *value) {
  CallArguments arguments;
  arguments.positional = {PyRef::share(array), PyRef::share(key), PyRef::share(value)};
  if (isTensor(value)) { // numpy asks it for an array
    CallArguments ofTensor;
    ofTensor.positional = {PyRef::share(value)};
    PyObject *method = typeAttribute(reinterpret_cast<PyTypeObject *>(THPVariableClass), "numpy");
    auto items = arrayOfTensor(method, ofTensor);
    if (!items)
      throw CannotInterpret("items of an array are set to a tensor that is no array");
    arguments.positional[2] = *items;
  }
  if (!writeOnData(operatorFunction("__setitem__"), arguments))
    throw CannotInterpret("an item of a scalar is set");
}

} // namespace bifront
