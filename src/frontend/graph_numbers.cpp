// What float() and torch.tensor() make of numbers of the graph, where Python and PyTorch
// would ask what these are.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/number_arithmetic.h"
#include "frontend/stacked_items.h"

#include "capture/symbolic.h"

#include <c10/core/DefaultDtype.h>
#include <c10/core/ScalarType.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/DynamicTypes.h>
#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

PyRef torchAttribute(const char *name) {
  PyRef torch = checked(PyImport_ImportModule("torch"));
  return checked(PyObject_GetAttrString(torch.get(), name));
}

// What PyTorch takes a number to be that stands in a list; nothing for what is no number.
std::optional<c10::ScalarType> elementType(PyObject *element) {
  if (isExactTensor(element) && isOfNoDimension(element))
    return THPVariable_Unpack(element).scalar_type();
  PyTypeObject *type = isGraphNumber(element) ? numberType(element) : Py_TYPE(element);
  if (type == &PyBool_Type)
    return c10::ScalarType::Bool;
  if (type == &PyLong_Type && (isGraphNumber(element) || fitsGraph(element)))
    return c10::ScalarType::Long;
  if (type == &PyFloat_Type)
    return c10::get_default_dtype_as_scalartype();
  return std::nullopt;
}

// Numbers in lists of equal lengths, as PyTorch reads them.
class NestedNumbers {
public:
  // False where there is anything else.
  bool read(PyObject *data, size_t depth = 0) {
    if (!isSequence(data)) {
      auto element = depth > 0 || isGraphNumber(data) ? elementType(data) : std::nullopt;
      if (!element || depth != shape.size())
        return false;
      type = count++ == 0 ? *element : c10::promoteTypes(type, *element);
      hasFloats = hasFloats || c10::isFloatingType(*element);
      ofGraph = ofGraph || isGraphNumber(data) || isProxyTensor(data);
      return true;
    }
    Py_ssize_t size = PySequence_Fast_GET_SIZE(data);
    if (depth == shape.size()) {
      if (count > 0)
        return false;
      shape.push_back(size);
    }
    if (shape[depth] != size)
      return false;
    for (Py_ssize_t i = 0; i < size; ++i)
      if (!read(PySequence_Fast_GET_ITEM(data, i), depth + 1))
        return false;
    return true;
  }

  std::vector<int64_t> shape;
  c10::ScalarType type = c10::ScalarType::Undefined;
  size_t count = 0;
  bool ofGraph = false, hasFloats = false;
};

PyRef filled(const std::vector<int64_t> &shape, PyObject *number, PyObject *keywords) {
  PyRef sizes = checked(PyTuple_New(static_cast<Py_ssize_t>(shape.size())));
  for (size_t i = 0; i < shape.size(); ++i)
    PyTuple_SET_ITEM(sizes.get(), static_cast<Py_ssize_t>(i),
                     checked(PyLong_FromLongLong(shape[i])).release());
  PyRef arguments = checked(PyTuple_Pack(2, sizes.get(), number));
  return checked(PyObject_Call(torchAttribute("full").get(), arguments.get(), keywords));
}

// The first number in nested lists.
PyObject *firstOf(PyObject *data) {
  return isSequence(data) ? firstOf(PySequence_Fast_GET_ITEM(data, 0)) : data;
}

} // namespace

// A number of the graph, or the one that a tensor holds; null for other objects.
PyRef Interpreter::scalarOf(PyObject *object) {
  if (isProxyTensor(object) && isExactTensor(object) && isOfNoDimension(object))
    return scalarOf(letOthersRun({object}, [&] {
                      return checked(PyObject_CallMethod(object, "item", nullptr));
                    }).get());
  return isGraphNumber(object) ? PyRef::share(object) : PyRef();
}

// float() of a number of the graph.
PyRef Interpreter::toFloat(PyObject *number) {
  if (numberType(number) == &PyFloat_Type)
    return PyRef::share(number);
  // The node itself: Python's wrapper of a bool has no such method.
  PyRef result = numberForPython(SymbolicScalar::of(symbolicNumber(number))->sym_float());
  noteComputed(result.get(), number, number,
               [](PyObject *value, PyObject *) { return PyNumber_Float(value); });
  return result;
}

PyRef Interpreter::intOfBool(PyObject *number) {
  ValueId truth[] = {SymbolicScalar::of(symbolicNumber(number))->value()};
  PyRef result = numberForPython(
      SymbolicScalar::ofValue(host_.recording->shared_from_this(), SymbolicScalar::Kind::Int,
                              host_.recording->graph().scalar(ScalarOp::ToInt, truth)));
  noteComputed(result.get(), number, number,
               [](PyObject *value, PyObject *) { return PyNumber_Long(value); });
  return result;
}

// As Python counts with a bool.
PyRef Interpreter::counted(PyObject *number) {
  if (PyBool_Check(number))
    return checked(PyNumber_Long(number));
  bool isBool = isGraphNumber(number) && numberType(number) == &PyBool_Type;
  return isBool ? intOfBool(number) : PyRef::share(number);
}

// int() of one.
PyRef Interpreter::toInt(PyObject *number) {
  if (numberType(number) == &PyLong_Type)
    return PyRef::share(number);
  if (numberType(number) == &PyBool_Type)
    return intOfBool(number);
  PyRef result = numberForPython(SymbolicScalar::of(symbolicNumber(number))->trunc());
  noteComputed(result.get(), number, number,
               [](PyObject *value, PyObject *) { return PyNumber_Long(value); });
  return result;
}

PyRef Interpreter::extremeNumber(PyObject *one, PyObject *other, syntax::CompareOp better) {
  bool isLeast = better == syntax::CompareOp::Lt;
  std::optional<PyRef> result = extremeOfNumbers(one, other, isLeast);
  if (!result)
    return {};
  noteComputed(result->get(), one, other, [isLeast](PyObject *left, PyObject *right) -> PyObject * {
    int isRight = PyObject_RichCompareBool(right, left, isLeast ? Py_LT : Py_GT);
    return isRight < 0 ? nullptr : Py_NewRef(isRight ? right : left);
  });
  return std::move(*result);
}

//===- torch.tensor ------------------------------------------------------------------------===//

// `keywords`: the dtype; `isReal`: of what it is.
PyRef Interpreter::stackedNumbers(PyObject *data, PyObject *keywords, bool isReal) {
  if (isSequence(data)) {
    PyRef parts = checked(PyList_New(0));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(data); ++i)
      checked(PyList_Append(
          parts.get(), stackedNumbers(PySequence_Fast_GET_ITEM(data, i), keywords, isReal).get()));
    return letOthersRun({parts.get()}, [&] {
      return checked(PyObject_CallOneArg(torchAttribute("stack").get(), parts.get()));
    });
  }
  if (isExactTensor(data)) {
    return letOthersRun({data}, [&] {
      PyRef value = checked(PyObject_CallMethod(data, "detach", nullptr));
      PyRef to = checked(PyObject_GetAttrString(value.get(), "to"));
      return checked(PyObject_VectorcallDict(to.get(), nullptr, 0, keywords));
    });
  }
  PyRef number = numberToFill(data, isReal);
  return letOthersRun({number.get()}, [&] { return filled({}, number.get(), keywords); });
}

// torch.tensor goes by way of a double where the tensor is real, and torch.full takes no bool of
// the graph.
PyRef Interpreter::numberToFill(PyObject *number, bool isReal) {
  PyRef value = PyRef::share(number);
  if (isGraphNumber(number) && numberType(number) == &PyBool_Type)
    value = intOfBool(number);
  if (!isReal)
    return value;
  return isGraphNumber(value.get()) ? toFloat(value.get()) : checked(PyNumber_Float(value.get()));
}

void Interpreter::noteRead(PyObject *data) {
  if (PyList_CheckExact(data))
    log_.readContainer(data);
  if (isSequence(data))
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(data); ++i)
      noteRead(PySequence_Fast_GET_ITEM(data, i));
}

std::optional<PyRef> Interpreter::tensorOfData(const CallArguments &arguments) {
  PyRef dtype;
  for (const auto &[name, value] : arguments.keywords) {
    if (PyUnicode_CompareWithASCIIString(name.get(), "dtype") != 0)
      return std::nullopt;
    dtype = value;
  }
  if (arguments.positional.size() == 1 && holdsStacked(arguments.positional[0].get())) {
    bool isTold = dtype && dtype.get() != Py_None;
    if (isTold && !THPDtype_Check(dtype.get()))
      return std::nullopt;
    return tensorOfRows(arguments.positional[0].get(),
                        isTold ? reinterpret_cast<THPDtype *>(dtype.get())->scalar_type
                               : c10::ScalarType::Undefined);
  }
  NestedNumbers numbers;
  if (arguments.positional.size() != 1 || !numbers.read(arguments.positional[0].get()) ||
      !numbers.ofGraph)
    return std::nullopt;
  PyObject *data = arguments.positional[0].get();
  if (!dtype || dtype.get() == Py_None)
    dtype = PyRef::share(reinterpret_cast<PyObject *>(torch::getTHPDtype(numbers.type)));
  if (!THPDtype_Check(dtype.get()))
    return std::nullopt;
  bool isReal = c10::isFloatingType(reinterpret_cast<THPDtype *>(dtype.get())->scalar_type);
  if (!isReal && numbers.hasFloats)
    return std::nullopt; // it cuts them off
  noteRead(data);
  PyRef keywords = checked(PyDict_New());
  checked(PyDict_SetItemString(keywords.get(), "dtype", dtype.get()));
  PyObject *first = firstOf(data);
  if (numbers.count == 1 && !isExactTensor(first))
    return filled(numbers.shape, numberToFill(first, isReal).get(), keywords.get());
  return stackedNumbers(data, keywords.get(), isReal);
}

} // namespace bifront
