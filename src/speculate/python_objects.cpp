#include "speculate/python_objects.h"

#include "frontend/plain_keys.h"
#include "frontend/pointers.h"
#include "runtime/object_reads.h"
#include "speculate/opaque_run.h"
#include "speculate/precheck.h"
#include "support/gil.h"
#include "support/plain_constant.h"

#include <torch/csrc/autograd/python_variable.h>

namespace bifront {
namespace {

thread_local std::vector<ObjectAddress> *currentlyKept = nullptr;

PyObject *objectAt(ObjectAddress address) { return reinterpret_cast<PyObject *>(address); }

void drop(const std::vector<ObjectAddress> &objects) {
  for (ObjectAddress object : objects)
    Py_DECREF(objectAt(object));
}

const void *intern(const std::string &name) {
  Gil gil;
  return PyUnicode_InternFromString(name.c_str());
}

bool isClass(PyObject *object, PyObject *type) {
  return reinterpret_cast<PyObject *>(Py_TYPE(object)) == type;
}

bool hold(PyRef value, ObjectResult &result, std::vector<ObjectAddress> &held) {
  if (!value)
    return false;
  held.push_back(reinterpret_cast<ObjectAddress>(value.get()));
  result.scalar.i = held.back();
  value.release();
  return true;
}

// The item of a dict whose keys compare without any code of the program; nothing in a failure.
std::optional<PyRef> itemUnder(PyObject *dict, PyObject *sought) {
  if (!PyDict_Check(dict) || !sought || !comparesPlainly(sought))
    return std::nullopt;
  PyObject *key = nullptr, *item = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &item);)
    if (!comparesPlainly(key))
      return std::nullopt;
  PyRef found = PyRef::share(PyDict_GetItemWithError(dict, sought));
  if (!found && PyErr_Occurred()) {
    PyErr_Clear(); // no memory
    return std::nullopt;
  }
  return found;
}

std::optional<PyRef> itemUnder(PyObject *dict, int64_t number) {
  return itemUnder(dict, PyRef::steal(PyLong_FromLongLong(number)).get());
}

PyRef itemOf(PyObject *object, int64_t index) {
  if (PyDict_Check(object))
    return itemUnder(object, index).value_or(PyRef());
  if (!PyList_Check(object) && !PyTuple_CheckExact(object))
    return {};
  if (index < 0 || index >= PySequence_Fast_GET_SIZE(object))
    return {};
  return PyRef::share(PySequence_Fast_GET_ITEM(object, index));
}

bool lengthOf(PyObject *object, ObjectResult &result) {
  if (PyList_CheckExact(object) || PyTuple_CheckExact(object))
    result.scalar.i = PySequence_Fast_GET_SIZE(object);
  else if (PyDict_CheckExact(object))
    result.scalar.i = PyDict_GET_SIZE(object);
  else
    return false;
  return true;
}

// `sizes`: of the dynamic dimensions; a negative one is any of two elements or more.
bool hasSizes(const at::Tensor &tensor, const TensorType &type, const int64_t *sizes) {
  for (size_t d = 0; d < type.dims.size(); ++d) {
    int64_t size = tensor.size(static_cast<int64_t>(d));
    int64_t expected = type.dims[d].isDynamic() ? *sizes++ : type.dims[d].world[0];
    if (expected < 0 ? size < 2 : size != expected)
      return false;
  }
  return true;
}

bool unboxTensor(PyObject *object, const TensorType &type, const int64_t *sizes,
                 ObjectResult &result) {
  if (!THPVariable_CheckExact(object))
    return false;
  const at::Tensor &tensor = THPVariable_Unpack(object);
  if (!isOrdinaryTensor(tensor) || tensor.is_inference() || tensor.requires_grad() ||
      tensor.scalar_type() != static_cast<c10::ScalarType>(type.dtype) ||
      static_cast<size_t>(tensor.dim()) != type.dims.size() || !tensor.is_contiguous() ||
      !hasSizes(tensor, type, sizes))
    return false;
  result.tensor = tensor;
  return true;
}

bool unbox(PyObject *object, const ValueType &type, const int64_t *sizes, ObjectResult &result) {
  switch (type.kind) {
  case ValueType::Kind::Tensor: return unboxTensor(object, type.tensor, sizes, result);
  case ValueType::Kind::Bool: result.scalar.i = object == Py_True; return PyBool_Check(object);
  case ValueType::Kind::Float:
    if (!PyFloat_CheckExact(object))
      return false;
    result.scalar.f = PyFloat_AS_DOUBLE(object);
    return true;
  case ValueType::Kind::Int: {
    int overflow = 0;
    if (!PyLong_CheckExact(object))
      return false;
    result.scalar.i = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow == 0;
  }
  default: return false;
  }
}

// What the run has written there itself; null: nothing.
PyObject *writtenByRun(PyObject *object, PyObject *name) {
  OpaqueRun *run = OpaqueRun::current();
  return run ? run->written().find(object, name) : nullptr;
}

PyRef attributeOf(PyObject *object, PyObject *name) {
  PyObject *written = writtenByRun(object, name);
  return written ? PyRef::share(written) : plainAttribute(object, name);
}

bool isMethod(PyObject *object, PyObject *name, PyObject *function) {
  PyRef found = attributeOf(object, name);
  return found && PyMethod_Check(found.get()) && PyMethod_GET_FUNCTION(found.get()) == function &&
         PyMethod_GET_SELF(found.get()) == object;
}

bool read(const ObjectRead &what, const void *name, const ObjectAddress *operands,
          ObjectResult &result, std::vector<ObjectAddress> &held) {
  Gil gil;
  auto *attribute = static_cast<PyObject *>(const_cast<void *>(name));
  PyObject *object = objectAt(operands[0]);
  switch (what.kind) {
  case ObjectRead::Kind::Attribute:
    return isClass(object, objectAt(operands[1])) &&
           hold(attributeOf(object, attribute), result, held);
  case ObjectRead::Kind::Item: return hold(itemOf(object, operands[1]), result, held);
  case ObjectRead::Kind::ItemUnder:
    return hold(itemUnder(object, objectAt(operands[1])).value_or(PyRef()), result, held);
  case ObjectRead::Kind::HasItem:
  case ObjectRead::Kind::HasItemUnder: {
    auto item = what.kind == ObjectRead::Kind::HasItem ? itemUnder(object, operands[1])
                                                       : itemUnder(object, objectAt(operands[1]));
    result.scalar.i = item && *item;
    return item.has_value();
  }
  case ObjectRead::Kind::Length: return lengthOf(object, result);
  case ObjectRead::Kind::Unbox: return unbox(object, what.type, operands + 1, result);
  case ObjectRead::Kind::IsMethod:
    result.scalar.i = isClass(object, objectAt(operands[1])) &&
                      isMethod(object, attribute, objectAt(operands[2]));
    return true;
  case ObjectRead::Kind::IsClass:
    result.scalar.i = isClass(object, objectAt(operands[1]));
    return true;
  case ObjectRead::Kind::IsEqual: {
    PyObject *constant = objectAt(operands[1]);
    if (object != constant && !isPlainConstant(object))
      return false; // who knows how it compares
    result.scalar.i = sameConstant(constant, object);
    return true;
  }
  }
  return false;
}

void release(std::vector<ObjectAddress> &held) {
  Gil gil;
  // What they take along as they go may run the program's code: not with this list half done.
  std::vector<ObjectAddress> last = std::exchange(held, {});
  if (currentlyKept)
    currentlyKept->insert(currentlyKept->end(), last.begin(), last.end());
  else
    drop(last);
}

} // namespace

KeptObjects::KeptObjects() : outer_(std::exchange(currentlyKept, &objects_)) {}

KeptObjects::~KeptObjects() {
  currentlyKept = outer_;
  if (objects_.empty())
    return;
  Gil gil;
  drop(objects_);
}

void giveObjectReads() { setObjectReads({intern, read, release}); }

} // namespace bifront
