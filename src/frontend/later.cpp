#include "frontend/later.h"

#include "capture/capture.h"
#include "frontend/interpreter.h"

namespace bifront {
namespace {

struct Later {
  PyObject_HEAD PyTypeObject *type;
  PyObject *function, *arguments;
};

constexpr const char *kWhy = "a text or a number that the end of the run makes is looked at";

// Python's exceptions the program may catch; the capture fails in any case.
PyObject *refuse() {
  if (Capture *capture = Capture::current())
    capture->recording().noteFailure(kWhy);
  PyErr_SetString(PyExc_RuntimeError, kWhy);
  return nullptr;
}

void dealloc(PyObject *self) {
  auto *later = reinterpret_cast<Later *>(self);
  PyTypeObject *type = Py_TYPE(self);
  Py_DECREF(later->type);
  Py_DECREF(later->function);
  Py_DECREF(later->arguments);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject *refuseUnary(PyObject *) { return refuse(); }
PyObject *refuseBinary(PyObject *, PyObject *) { return refuse(); }
PyObject *refuseComparison(PyObject *, PyObject *, int) { return refuse(); }
Py_hash_t refuseHash(PyObject *) { return refuse(), -1; }
Py_ssize_t refuseLength(PyObject *) { return refuse(), -1; }
int refuseTruth(PyObject *) { return refuse(), -1; }

PyTypeObject *typeOfLater() {
  static PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void *>(dealloc)},
                                {Py_tp_repr, reinterpret_cast<void *>(refuseUnary)},
                                {Py_tp_str, reinterpret_cast<void *>(refuseUnary)},
                                {Py_tp_hash, reinterpret_cast<void *>(refuseHash)},
                                {Py_tp_iter, reinterpret_cast<void *>(refuseUnary)},
                                {Py_tp_getattro, reinterpret_cast<void *>(refuseBinary)},
                                {Py_tp_richcompare, reinterpret_cast<void *>(refuseComparison)},
                                {Py_nb_bool, reinterpret_cast<void *>(refuseTruth)},
                                {Py_nb_int, reinterpret_cast<void *>(refuseUnary)},
                                {Py_nb_float, reinterpret_cast<void *>(refuseUnary)},
                                {Py_nb_index, reinterpret_cast<void *>(refuseUnary)},
                                {Py_nb_add, reinterpret_cast<void *>(refuseBinary)},
                                {Py_nb_multiply, reinterpret_cast<void *>(refuseBinary)},
                                {Py_nb_remainder, reinterpret_cast<void *>(refuseBinary)},
                                {Py_mp_length, reinterpret_cast<void *>(refuseLength)},
                                {Py_mp_subscript, reinterpret_cast<void *>(refuseBinary)},
                                {0, nullptr}};
  static PyType_Spec spec{"bifront._core.Later", sizeof(Later), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  static auto *type = reinterpret_cast<PyTypeObject *>(PyType_FromSpec(&spec));
  return type;
}

Later *asLater(PyObject *object) { return reinterpret_cast<Later *>(object); }

} // namespace

const void *itemSite() {
  static const char site = 0;
  return &site;
}

const void *textSite() {
  static const char site = 0;
  return &site;
}

bool isOfText(std::string_view failure) { return failure.find(kWhy) != std::string_view::npos; }

PyRef makeLater(PyTypeObject *type, PyObject *function, const std::vector<PyRef> &arguments) {
  PyRef tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(arguments.size())));
  for (size_t i = 0; i < arguments.size(); ++i)
    PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(arguments[i].get()));
  PyRef made = checked(typeOfLater()->tp_alloc(typeOfLater(), 0));
  Later *later = asLater(made.get());
  later->type = reinterpret_cast<PyTypeObject *>(Py_NewRef(reinterpret_cast<PyObject *>(type)));
  later->function = Py_NewRef(function);
  later->arguments = tuple.release();
  return made;
}

bool isLater(PyObject *object) { return Py_TYPE(object) == typeOfLater(); }
PyTypeObject *laterType(PyObject *later) { return asLater(later)->type; }
PyObject *laterFunction(PyObject *later) { return asLater(later)->function; }
PyObject *laterArguments(PyObject *later) { return asLater(later)->arguments; }

} // namespace bifront
