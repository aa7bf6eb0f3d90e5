// Items of tensors by numbers that only the run of the graph knows: PyTorch's own indexing would
// ask what they are.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

bool isIndex(PyObject *part) {
  return PyLong_CheckExact(part) || (isGraphNumber(part) && numberType(part) == &PyLong_Type);
}

// An int that the graph has as a tensor: PyTorch takes it for one.
bool isIndexTensor(PyObject *part) {
  if (!isProxyTensor(part) || !isExactTensor(part) || !isOfNoDimension(part))
    return false;
  c10::ScalarType type = THPVariable_Unpack(part).scalar_type();
  return c10::isIntegralType(type, /*includeBool=*/false) && type != c10::ScalarType::Byte;
}

bool hasGraphNumber(PyObject *slice) {
  auto *bounds = reinterpret_cast<PySliceObject *>(slice);
  return isGraphNumber(bounds->start) || isGraphNumber(bounds->stop) || isGraphNumber(bounds->step);
}

bool isPlainSlice(PyObject *part) { return PySlice_Check(part) && !hasGraphNumber(part); }

// The parts of a key, where each is an index, a slice, None or `...`, and one a number of the
// graph; empty otherwise.
std::vector<PyRef> indicesOf(PyObject *key) {
  std::vector<PyObject *> parts{key};
  if (PyTuple_CheckExact(key))
    parts.assign(&PyTuple_GET_ITEM(key, 0), &PyTuple_GET_ITEM(key, 0) + PyTuple_GET_SIZE(key));
  bool known = std::all_of(parts.begin(), parts.end(), [](PyObject *part) {
    return isIndex(part) || isIndexTensor(part) || isPlainSlice(part) || part == Py_None ||
           part == Py_Ellipsis;
  });
  bool ofGraph = std::any_of(parts.begin(), parts.end(), [](PyObject *part) {
    return isGraphNumber(part) || isIndexTensor(part);
  });
  if (!known || !ofGraph)
    return {};
  std::vector<PyRef> numbers;
  for (PyObject *part : parts)
    numbers.push_back(isIndexTensor(part) ? checked(PyObject_CallMethod(part, "item", nullptr))
                                          : PyRef::share(part));
  return numbers;
}

PyRef sliced(PyObject *tensor, int dim, PyObject *slice) {
  PyRef all = checked(PySlice_New(nullptr, nullptr, nullptr));
  PyRef key = checked(PyTuple_New(dim + 1));
  for (int d = 0; d < dim; ++d)
    PyTuple_SET_ITEM(key.get(), d, Py_NewRef(all.get()));
  PyTuple_SET_ITEM(key.get(), dim, Py_NewRef(slice));
  return checked(PyObject_GetItem(tensor, key.get()));
}

} // namespace

// The key with tensors in the place of lists that have numbers of the graph; null where there is no
// such list.
PyRef Interpreter::keyWithTensors(PyObject *key) {
  if (PyList_CheckExact(key)) {
    CallArguments numbers;
    numbers.positional.push_back(PyRef::share(key));
    return tensorOfData(numbers).value_or(PyRef());
  }
  if (!PyTuple_CheckExact(key))
    return {};
  bool any = false;
  PyRef parts = checked(PyTuple_New(PyTuple_GET_SIZE(key)));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i) {
    PyObject *part = PyTuple_GET_ITEM(key, i);
    PyRef tensor = PyList_CheckExact(part) ? keyWithTensors(part) : PyRef();
    any = any || tensor;
    PyTuple_SET_ITEM(parts.get(), i, tensor ? tensor.release() : Py_NewRef(part));
  }
  return any ? parts : PyRef();
}

PyRef Interpreter::selected(PyObject *tensor, PyObject *key) {
  std::vector<PyRef> parts = isTensor(tensor) ? indicesOf(key) : std::vector<PyRef>();
  if (parts.empty())
    return {};
  PyRef current = PyRef::share(tensor);
  int dim = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    PyObject *part = parts[i].get();
    if (part == Py_Ellipsis) {
      auto consumed = std::count_if(
          parts.begin() + static_cast<ptrdiff_t>(i) + 1, parts.end(),
          [](const PyRef &other) { return isIndex(other.get()) || PySlice_Check(other.get()); });
      PyRef rank = checked(PyObject_CallMethod(current.get(), "dim", nullptr));
      dim = static_cast<int>(PyLong_AsLong(rank.get()) - consumed);
    } else if (part == Py_None) {
      current = checked(PyObject_CallMethod(current.get(), "unsqueeze", "i", dim++));
    } else if (PySlice_Check(part)) {
      current = sliced(current.get(), dim++, part);
    } else {
      current = checked(PyObject_CallMethod(current.get(), "select", "iO", dim, part));
    }
  }
  return current;
}

bool Interpreter::setSelected(PyObject *tensor, PyObject *key, PyObject *value) {
  PyRef target = selected(tensor, key);
  if (!target)
    return false;
  letOthersRun({value}, [&] {
    return checked(
        PyObject_CallMethod(target.get(), isTensor(value) ? "copy_" : "fill_", "O", value));
  });
  return true;
}

} // namespace bifront
