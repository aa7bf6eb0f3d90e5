// torch.equal and torch.allclose: whether tensors agree is a bool of the graph, as it is where the
// program writes `(a == b).all()`.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include <torch/csrc/autograd/python_variable.h>

namespace bifront {
namespace {

PyRef torchFunction(const char *name) {
  PyRef torch = checked(PyImport_ImportModule("torch"));
  return checked(PyObject_GetAttrString(torch.get(), name));
}

bool isComparable(PyObject *one, PyObject *other) {
  if (!isTensor(one) || !isTensor(other))
    return false;
  const at::Tensor &a = THPVariable_Unpack(one), &b = THPVariable_Unpack(other);
  return a.scalar_type() == b.scalar_type() && a.device() == b.device() &&
         a.layout() == at::kStrided && b.layout() == at::kStrided;
}

} // namespace

// Whether all of a tensor of bools are true.
PyRef Interpreter::allHold(PyObject *comparison) {
  PyRef all = letOthersRun(
      {comparison}, [&] { return checked(PyObject_CallMethod(comparison, "all", nullptr)); });
  if (PyRef condition = conditionOf(all.get()))
    return condition;
  return PyRef::share(truth(all.get()) ? Py_True : Py_False);
}

std::optional<PyRef> Interpreter::equalTensors(const CallArguments &arguments) {
  if (arguments.positional.size() != 2 || !arguments.keywords.empty())
    return std::nullopt;
  PyObject *one = arguments.positional[0].get(), *other = arguments.positional[1].get();
  if (!isComparable(one, other) || !(isProxyTensor(one) || isProxyTensor(other)))
    return std::nullopt;
  PyRef shape = checked(PyObject_GetAttrString(one, "shape"));
  PyRef otherShape = checked(PyObject_GetAttrString(other, "shape"));
  if (!checked(PyObject_RichCompareBool(shape.get(), otherShape.get(), Py_EQ)))
    return PyRef::share(Py_False);
  PyRef comparison = letOthersRun({one, other}, [&] {
    return checked(PyObject_CallFunctionObjArgs(torchFunction("eq").get(), one, other, nullptr));
  });
  return allHold(comparison.get());
}

std::optional<PyRef> Interpreter::closeTensors(const CallArguments &arguments) {
  if (arguments.positional.size() < 2)
    return std::nullopt;
  PyObject *one = arguments.positional[0].get(), *other = arguments.positional[1].get();
  if (!isComparable(one, other) || !(isProxyTensor(one) || isProxyTensor(other)))
    return std::nullopt;
  return allHold(callDirectly(torchFunction("isclose").get(), arguments).get());
}

} // namespace bifront
