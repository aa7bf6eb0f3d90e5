// An owned reference to a Python object. The GIL is held wherever one is copied or destroyed.
#pragma once

#include <Python.h>

#include <utility>

namespace bifront {

class PyRef {
public:
  PyRef() = default;
  static PyRef steal(PyObject *object) { return PyRef(object); }
  static PyRef share(PyObject *object) { return PyRef(Py_XNewRef(object)); }
  PyRef(PyRef &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  PyRef(const PyRef &other) : object_(Py_XNewRef(other.object_)) {}
  PyRef &operator=(PyRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~PyRef() {
    if (object_ && Py_IsInitialized())
      Py_DECREF(object_);
  }
  PyObject *get() const { return object_; }
  PyObject *release() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

private:
  explicit PyRef(PyObject *object) : object_(object) {}
  PyObject *object_ = nullptr;
};

} // namespace bifront
