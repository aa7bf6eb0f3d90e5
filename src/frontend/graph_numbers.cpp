// What Python and PyTorch make of numbers of the graph, where they would ask what these are.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include <algorithm>

namespace bifront {
namespace {

PyObject *torchAttribute(const char *name) {
  static PyObject *torch = PyImport_ImportModule("torch");
  return PyObject_GetAttrString(torch, name);
}

PyTypeObject *typeOfNumber(PyObject *number) {
  return isGraphNumber(number) ? numberType(number) : Py_TYPE(number);
}

bool isNumber(PyObject *value) {
  return isGraphNumber(value) || PyFloat_CheckExact(value) || PyLong_CheckExact(value) ||
         PyBool_Check(value);
}

bool isFloat(PyObject *number) { return typeOfNumber(number) == &PyFloat_Type; }

// As torch.tensor infers it.
PyRef dtypeOf(const std::vector<PyRef> &numbers) {
  auto all = [&](PyTypeObject *type) {
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](const PyRef &number) { return typeOfNumber(number.get()) == type; });
  };
  bool isReal = std::any_of(numbers.begin(), numbers.end(),
                            [](const PyRef &number) { return isFloat(number.get()); });
  if (isReal)
    return checked(PyObject_CallNoArgs(PyRef::steal(torchAttribute("get_default_dtype")).get()));
  return checked(torchAttribute(all(&PyBool_Type) ? "bool" : "int64"));
}

} // namespace

// float() of a number of the graph.
PyRef Interpreter::toFloat(PyObject *number) {
  if (numberType(number) == &PyFloat_Type)
    return PyRef::share(number);
  PyRef result = numberForPython(symbolicNumber(number)->sym_float());
  noteComputed(result.get(), number, number,
               [](PyObject *value, PyObject *) { return PyNumber_Float(value); });
  return result;
}

// torch.tensor of numbers among which are some of the graph; nothing for other arguments.
std::optional<PyRef> Interpreter::tensorOfNumbers(CallArguments &arguments) {
  bool hasDtype = arguments.keywords.size() == 1 &&
                  PyUnicode_CompareWithASCIIString(arguments.keywords[0].first.get(), "dtype") == 0;
  if (arguments.positional.size() != 1 || (!arguments.keywords.empty() && !hasDtype))
    return std::nullopt;
  PyObject *data = arguments.positional[0].get();
  bool isSequence = PyList_CheckExact(data) || PyTuple_CheckExact(data);
  if (PyList_CheckExact(data))
    log_.readContainer(data);
  std::vector<PyRef> numbers;
  for (Py_ssize_t i = 0; isSequence && i < PySequence_Fast_GET_SIZE(data); ++i)
    numbers.push_back(PyRef::share(PySequence_Fast_GET_ITEM(data, i)));
  if (!isSequence)
    numbers.push_back(PyRef::share(data));
  auto holds = [&](bool (*test)(PyObject *)) {
    return std::count_if(numbers.begin(), numbers.end(),
                         [&](const PyRef &number) { return test(number.get()); });
  };
  if (holds(isGraphNumber) == 0 || holds(isNumber) != static_cast<ptrdiff_t>(numbers.size()))
    return std::nullopt;
  PyRef dtype = hasDtype && arguments.keywords[0].second.get() != Py_None
                    ? arguments.keywords[0].second
                    : dtypeOf(numbers);
  PyRef isReal = checked(PyObject_GetAttrString(dtype.get(), "is_floating_point"));
  if (isReal.get() != Py_True && holds(isFloat) > 0)
    return std::nullopt; // it cuts them off
  PyRef full = checked(torchAttribute("full")), none = checked(PyTuple_New(0));
  PyRef options = checked(PyDict_New()), tensors = checked(PyList_New(0));
  checked(PyDict_SetItemString(options.get(), "dtype", dtype.get()));
  for (const PyRef &number : numbers) {
    // By way of a double, as PyTorch does.
    PyRef value = isReal.get() != Py_True       ? number
                  : isGraphNumber(number.get()) ? toFloat(number.get())
                                                : checked(PyNumber_Float(number.get()));
    PyRef both = checked(PyTuple_Pack(2, none.get(), value.get()));
    PyRef tensor = checked(PyObject_Call(full.get(), both.get(), options.get()));
    if (!isSequence)
      return tensor;
    checked(PyList_Append(tensors.get(), tensor.get()));
  }
  PyRef stack = checked(torchAttribute("stack"));
  return checked(PyObject_CallOneArg(stack.get(), tensors.get()));
}

} // namespace bifront
