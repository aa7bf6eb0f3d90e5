#include "frontend/kinds.h"

#include "capture/proxy.h"
#include "capture/python_values.h"
#include "capture/symbolic.h"
#include "frontend/interpreter.h"
#include "frontend/later.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"
#include "frontend/python_error.h"

#include <ATen/functorch/BatchedTensorImpl.h>
#include <torch/csrc/Size.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/csrc/utils/python_symnode.h>

#include <array>
#include <string_view>
#include <unordered_map>

namespace bifront {
namespace {

PyObject *interned(const char *name) {
  // By address: the names are literals.
  static std::unordered_map<const char *, PyObject *> known;
  auto [found, isNew] = known.try_emplace(name, nullptr);
  if (isNew)
    found->second = PyUnicode_InternFromString(name);
  return found->second;
}

PyTypeObject *dequeType() {
  static PyTypeObject *type = [] {
    PyRef module = PyRef::steal(PyImport_ImportModule("collections"));
    return reinterpret_cast<PyTypeObject *>(PyObject_GetAttrString(module.get(), "deque"));
  }();
  return type;
}

const std::array<PyTypeObject *, 3> &graphNumberTypes() {
  static const auto types = [] {
    PyRef torch = PyRef::steal(PyImport_ImportModule("torch"));
    std::array<PyTypeObject *, 3> found{};
    const char *names[] = {"SymInt", "SymFloat", "SymBool"};
    for (size_t i = 0; i < found.size(); ++i)
      found[i] = reinterpret_cast<PyTypeObject *>(PyObject_GetAttrString(torch.get(), names[i]));
    return found;
  }();
  return types;
}

// Whether the runs of a graph could read it as a tensor (speculate/python_objects.cpp).
bool isReadable(const at::Tensor &tensor) {
  return tensor.layout() == at::kStrided && tensor.device().is_cpu() && !tensor.requires_grad() &&
         tensor.is_contiguous() && !tensor.is_neg() && !tensor.is_conj() &&
         !tensor.is_inference() && !tensor.is_quantized() && !ProxyImpl::of(tensor);
}

} // namespace

// Not THPVariable_Check: it asks the object, which may lie about its class.
bool isTensor(PyObject *object) {
  return THPVariableClass &&
         PyType_IsSubtype(Py_TYPE(object), reinterpret_cast<PyTypeObject *>(THPVariableClass));
}

bool isExactTensor(PyObject *object) { return THPVariable_CheckExact(object); }

bool isProxyTensor(PyObject *object) {
  if (!isTensor(object))
    return false;
  const at::Tensor &tensor = THPVariable_Unpack(object);
  return ProxyImpl::of(tensor) || at::functorch::isBatchedTensor(tensor);
}

bool isOfNoDimension(PyObject *tensor) { return THPVariable_Unpack(tensor).dim() == 0; }

ProxyImpl *proxyOf(PyObject *value) {
  return isTensor(value) ? ProxyImpl::of(THPVariable_Unpack(value)) : nullptr;
}

bool isMadeOfItems(PyObject *object) { return isSequence(object) || THPSize_Check(object); }

bool isEitherTensor(PyObject *object) {
  ProxyImpl *proxy = proxyOf(object);
  return proxy && proxy->recording()->isMerged(proxy->value());
}

bool isGraphNumber(PyObject *object) {
  for (PyTypeObject *type : graphNumberTypes())
    if (Py_TYPE(object) == type)
      return true;
  return false;
}

bool isUnknownNumber(PyObject *object) {
  if (!isGraphNumber(object))
    return false;
  SymbolicScalar *scalar = SymbolicScalar::of(symbolicNumber(object));
  return scalar && !scalar->isKnown();
}

bool fitsGraph(PyObject *number) {
  int overflow = 0;
  if (PyLong_CheckExact(number))
    PyLong_AsLongLongAndOverflow(number, &overflow);
  return overflow == 0;
}

std::optional<ValueType> graphTypeOf(const std::vector<PyRef> &objects) {
  PyObject *first = objects.front().get();
  if (!std::all_of(objects.begin(), objects.end(),
                   [&](const PyRef &object) { return Py_TYPE(object.get()) == Py_TYPE(first); }))
    return std::nullopt;
  if (PyBool_Check(first))
    return ValueType::scalar(ValueType::Kind::Bool);
  if (PyFloat_CheckExact(first))
    return ValueType::scalar(ValueType::Kind::Float);
  if (PyLong_CheckExact(first) &&
      std::all_of(objects.begin(), objects.end(),
                  [](const PyRef &object) { return fitsGraph(object.get()); }))
    return ValueType::scalar(ValueType::Kind::Int);
  if (!isExactTensor(first))
    return std::nullopt;
  const at::Tensor &like = THPVariable_Unpack(first);
  for (const PyRef &object : objects) {
    const at::Tensor &tensor = THPVariable_Unpack(object.get());
    if (!isReadable(tensor) || tensor.scalar_type() != like.scalar_type() ||
        tensor.sizes() != like.sizes())
      return std::nullopt;
  }
  return ValueType::ofTensor(ProxyImpl::Shape::fixed(Extent::of(like), like.device()).type());
}

PyObject *builtinFunction(const char *name) {
  return PyDict_GetItemString(PyEval_GetBuiltins(), name);
}

PyTypeObject *numberType(PyObject *number) {
  const auto &types = graphNumberTypes();
  return Py_TYPE(number) == types[0]   ? &PyLong_Type
         : Py_TYPE(number) == types[1] ? &PyFloat_Type
                                       : &PyBool_Type;
}

int isInstanceOf(PyObject *object, PyObject *cls) {
  if (pointerOf(object))
    throw CannotInterpret("the class of an object that differs from call to call is asked for");
  if (!isGraphNumber(object) && !isLater(object))
    return PyObject_IsInstance(object, cls);
  PyTypeObject *type = isLater(object) ? laterType(object) : numberType(object);
  PyRef like = PyRef::steal(PyObject_CallNoArgs(reinterpret_cast<PyObject *>(type)));
  return like ? PyObject_IsInstance(like.get(), cls) : -1;
}

c10::SymNode symbolicNumber(PyObject *number) {
  pybind11::handle handle(number);
  if (torch::is_symint(handle))
    return handle.cast<c10::SymInt>().toSymNode();
  if (torch::is_symfloat(handle))
    return handle.cast<c10::SymFloat>().toSymNodeImpl();
  return handle.cast<c10::SymBool>().toSymNodeImpl();
}

PyRef numberForPython(const c10::SymNode &node) { return checked(newSymbolicNumber(node)); }

PyRef graphCondition(PyObject *value) {
  PyRef number = PyRef::share(value);
  if (isProxyTensor(value) && THPVariable_Unpack(value).sym_numel().maybe_as_int() == 1)
    number = checked(PyObject_CallMethod(value, "item", nullptr));
  if (!isGraphNumber(number.get()))
    return {};
  c10::SymNode node = symbolicNumber(number.get());
  auto *scalar = SymbolicScalar::of(node);
  if (!scalar || (scalar->isKnown() && !scalar->truthVaries()) || scalar->decided())
    return {};
  if (scalar->kind() == SymbolicScalar::Kind::Bool)
    return number;
  PyRef zero = checked(PyLong_FromLong(0));
  return checked(PyObject_RichCompare(number.get(), zero.get(), Py_NE));
}

PyRef knownNumber(PyObject *number) {
  c10::SymNode node = symbolicNumber(number);
  if (node->is_bool())
    return PyRef::share(node->guard_bool("", 0) ? Py_True : Py_False);
  return checked(node->is_int() ? PyLong_FromLongLong(node->guard_int("", 0))
                                : PyFloat_FromDouble(node->guard_float("", 0)));
}

PyObject *negatedNumber(PyObject *number) {
  // torch.sym_not would import sympy, in the middle of a walk.
  if (Py_TYPE(number) == graphNumberTypes()[2])
    return numberForPython(SymbolicScalar::of(symbolicNumber(number))->sym_not()).release();
  PyRef zero = PyRef::steal(PyLong_FromLong(0));
  return PyObject_RichCompare(number, zero.get(), Py_EQ);
}

PyRef keywordDict(const std::vector<std::pair<PyRef, PyRef>> &items) {
  if (items.empty())
    return {};
  PyRef dict = checked(PyDict_New());
  for (const auto &[name, value] : items)
    checked(PyDict_SetItem(dict.get(), name.get(), value.get()));
  return dict;
}

PyRef tupleOf(const std::vector<PyRef> &values) {
  PyRef tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
  for (size_t i = 0; i < values.size(); ++i)
    PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(values[i].get()));
  return tuple;
}

bool isMutableContainer(PyObject *object) {
  return PyList_Check(object) || PyDict_Check(object) || PySet_Check(object) ||
         PyByteArray_Check(object) || PyObject_TypeCheck(object, dequeType());
}

bool isImmutable(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  if (object == Py_None || object == Py_Ellipsis || object == Py_NotImplemented)
    return true;
  for (PyTypeObject *known :
       {&PyLong_Type, &PyFloat_Type, &PyBool_Type, &PyUnicode_Type, &PyBytes_Type, &PyComplex_Type,
        &PyRange_Type, &PySlice_Type, &PyModule_Type})
    if (type == known)
      return true;
  std::string_view name = type->tp_name;
  return isGraphNumber(object) || isNumpyScalar(object) || name == "torch.dtype" ||
         name == "torch.device" || name == "torch.layout" || name == "torch.memory_format";
}

PyRef mappingOf(PyObject *proxy) {
  PyRef mapping;
  auto visit = [](PyObject *object, void *found) {
    *static_cast<PyRef *>(found) = PyRef::share(object);
    return 0;
  };
  Py_TYPE(proxy)->tp_traverse(proxy, visit, &mapping);
  return mapping;
}

bool isPlain(PyObject *object) { return isImmutable(object) && !isGraphNumber(object); }

PyObject *typeAttribute(PyTypeObject *type, PyObject *name) { return _PyType_Lookup(type, name); }

PyObject *typeAttribute(PyTypeObject *type, const char *name) {
  return _PyType_Lookup(type, interned(name));
}

bool hasOrdinaryLookup(PyTypeObject *type) {
  static PyObject *ordinary = typeAttribute(&PyBaseObject_Type, "__getattribute__");
  return type->tp_getattro == PyObject_GenericGetAttr ||
         typeAttribute(type, "__getattribute__") == ordinary;
}

PyRef unbound(PyObject *callee, std::vector<PyRef> &positional) {
  PyObject *self = PyCFunction_Check(callee) ? PyCFunction_GET_SELF(callee) : nullptr;
  if (!self || PyModule_Check(self) || PyType_Check(self))
    return PyRef::share(callee);
  PyMethodDef *definition = reinterpret_cast<PyCFunctionObject *>(callee)->m_ml;
  PyObject *method = typeAttribute(Py_TYPE(self), definition->ml_name);
  PyTypeObject *type = Py_TYPE(self);
  // A class of the program may have another method of that name.
  for (; type && (!method || !Py_IS_TYPE(method, &PyMethodDescr_Type) ||
                  reinterpret_cast<PyMethodDescrObject *>(method)->d_method != definition);
       type = type->tp_base)
    method = type->tp_base ? typeAttribute(type->tp_base, definition->ml_name) : nullptr;
  if (!type)
    return PyRef::share(callee);
  positional.insert(positional.begin(), PyRef::share(self));
  return PyRef::share(method);
}

std::string attributeText(PyObject *object, const char *name) {
  PyRef value = PyRef::steal(PyObject_GetAttrString(object, name));
  PyErr_Clear(); // it need not have one
  const char *utf8 =
      value && PyUnicode_Check(value.get()) ? PyUnicode_AsUTF8(value.get()) : nullptr;
  return utf8 ? utf8 : "";
}

std::string nameOf(PyObject *callee) {
  std::string name = attributeText(callee, "__qualname__");
  std::string module = attributeText(callee, "__module__");
  return (module.empty() ? "" : module + ".") + (name.empty() ? Py_TYPE(callee)->tp_name : name);
}

bool hasWalkedMethod(PyObject *object, const char *name) {
  PyTypeObject *type = Py_TYPE(object);
  if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE) || isTensor(object) || isGraphNumber(object))
    return false;
  PyObject *method = typeAttribute(type, name);
  return method && PyFunction_Check(method);
}

} // namespace bifront
