#include "frontend/callbacks.h"

namespace bifront {
namespace {

struct CallbackObject {
  PyObject_HEAD std::shared_ptr<Callback> callback;
};

// Those of an interpreter that has ended do nothing but raise.
Callback &liveCallback(PyObject *self) {
  auto &callback = reinterpret_cast<CallbackObject *>(self)->callback;
  static Callback ended;
  return callback->ended ? ended : *callback;
}

PyObject *raiseEnded() {
  PyErr_SetString(PyExc_RuntimeError, "a function of a captured program outlived its capture");
  return nullptr;
}

void dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  auto &callback = reinterpret_cast<CallbackObject *>(self)->callback;
  if (!callback->ended)
    callback->dropped();
  callback.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject *call(PyObject *self, PyObject *arguments, PyObject *keywords) {
  try {
    return liveCallback(self).call(arguments, keywords);
  } catch (const PythonError &) {
    return nullptr;
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
}
PyObject *next(PyObject *self) { return liveCallback(self).next(); }
PyObject *send(PyObject *self, PyObject *value) { return liveCallback(self).send(value); }
PyObject *close(PyObject *self, PyObject *) { return liveCallback(self).close(); }

PyObject *throwInto(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count < 1 || count > 3) {
    PyErr_SetString(PyExc_TypeError, "throw() takes one to three arguments");
    return nullptr;
  }
  PyObject *exception = count > 1 && arguments[1] != Py_None ? arguments[1] : arguments[0];
  PyRef made = PyExceptionClass_Check(exception) ? PyRef::steal(PyObject_CallNoArgs(exception))
                                                 : PyRef::share(exception);
  return made ? liveCallback(self).raiseInside(made.get()) : nullptr;
}

PyObject *typeOf(bool iterator) {
  static PyMethodDef methods[] = {
      {"send", send, METH_O, nullptr},
      {"throw", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(throwInto)), METH_FASTCALL,
       nullptr},
      {"close", close, METH_NOARGS, nullptr},
      {}};
  static PyType_Slot callableSlots[] = {{Py_tp_dealloc, reinterpret_cast<void *>(dealloc)},
                                        {Py_tp_call, reinterpret_cast<void *>(call)},
                                        {0, nullptr}};
  static PyType_Slot iteratorSlots[] = {{Py_tp_dealloc, reinterpret_cast<void *>(dealloc)},
                                        {Py_tp_iter, reinterpret_cast<void *>(PyObject_SelfIter)},
                                        {Py_tp_iternext, reinterpret_cast<void *>(next)},
                                        {Py_tp_methods, methods},
                                        {0, nullptr}};
  constexpr unsigned kFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  static PyType_Spec callableSpec{"bifront._core.WalkedFunction", sizeof(CallbackObject), 0, kFlags,
                                  callableSlots};
  static PyType_Spec iteratorSpec{"bifront._core.WalkedGenerator", sizeof(CallbackObject), 0,
                                  kFlags, iteratorSlots};
  static PyObject *callable = PyType_FromSpec(&callableSpec);
  static PyObject *generator = PyType_FromSpec(&iteratorSpec);
  return iterator ? generator : callable;
}

PyObject *make(bool iterator, std::shared_ptr<Callback> callback) {
  auto *type = reinterpret_cast<PyTypeObject *>(typeOf(iterator));
  PyObject *object = type ? type->tp_alloc(type, 0) : nullptr;
  if (object)
    new (&reinterpret_cast<CallbackObject *>(object)->callback)
        std::shared_ptr<Callback>(std::move(callback));
  return object;
}

} // namespace

PyObject *Callback::call(PyObject *, PyObject *) { return raiseEnded(); }
PyObject *Callback::next() { return raiseEnded(); }
PyObject *Callback::send(PyObject *) { return raiseEnded(); }
PyObject *Callback::raiseInside(PyObject *) { return raiseEnded(); }
PyObject *Callback::close() { Py_RETURN_NONE; }

PyObject *makeCallable(std::shared_ptr<Callback> callback) {
  return make(false, std::move(callback));
}
PyObject *makeIterator(std::shared_ptr<Callback> callback) {
  return make(true, std::move(callback));
}

Callback *callbackOf(PyObject *object) {
  for (bool iterator : {false, true})
    if (reinterpret_cast<PyObject *>(Py_TYPE(object)) == typeOf(iterator))
      return reinterpret_cast<CallbackObject *>(object)->callback.get();
  return nullptr;
}

} // namespace bifront
