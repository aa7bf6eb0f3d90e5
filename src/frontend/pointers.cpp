#include "frontend/pointers.h"

#include "frontend/python_error.h"

#include <string_view>

namespace bifront {
namespace {

struct PointerObject {
  PyObject_HEAD ValueId value;
};

thread_local std::function<void()> *currentRefusal = nullptr;

void refuse() {
  if (currentRefusal)
    (*currentRefusal)();
  else
    PyErr_SetString(PyExc_RuntimeError, "a pointer of a captured program outlived its capture");
}

void dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject *none(PyObject * /*self*/) {
  refuse();
  return nullptr;
}
PyObject *noneWith(PyObject * /*self*/, PyObject * /*other*/) {
  refuse();
  return nullptr;
}
PyObject *noneWithTwo(PyObject * /*self*/, PyObject * /*first*/, PyObject * /*second*/) {
  refuse();
  return nullptr;
}
PyObject *noComparison(PyObject * /*self*/, PyObject * /*other*/, int /*op*/) {
  refuse();
  return nullptr;
}
int noTruth(PyObject * /*self*/) {
  refuse();
  return -1;
}
int noContaining(PyObject * /*self*/, PyObject * /*item*/) {
  refuse();
  return -1;
}
int noSetting(PyObject * /*self*/, PyObject * /*name*/, PyObject * /*value*/) {
  refuse();
  return -1;
}
Py_ssize_t noLength(PyObject * /*self*/) {
  refuse();
  return -1;
}
Py_hash_t noHash(PyObject * /*self*/) {
  refuse();
  return -1;
}

// isinstance() in C looks at it where it has found no subclass.
PyObject *onlyClass(PyObject *self, PyObject *name) {
  if (PyUnicode_CompareWithASCIIString(name, "__class__") == 0)
    return Py_NewRef(reinterpret_cast<PyObject *>(Py_TYPE(self)));
  refuse();
  return nullptr;
}

template <typename Function> void *slot(Function *function) {
  return reinterpret_cast<void *>(function);
}

PyTypeObject *pointerType() {
  static PyType_Slot slots[] = {{Py_tp_dealloc, slot(dealloc)},
                                {Py_tp_repr, slot(none)},
                                {Py_tp_str, slot(none)},
                                {Py_tp_iter, slot(none)},
                                {Py_tp_hash, slot(noHash)},
                                {Py_tp_call, slot(noneWithTwo)},
                                {Py_tp_richcompare, slot(noComparison)},
                                {Py_tp_getattro, slot(onlyClass)},
                                {Py_tp_setattro, slot(noSetting)},
                                {Py_nb_bool, slot(noTruth)},
                                {Py_nb_add, slot(noneWith)},
                                {Py_nb_subtract, slot(noneWith)},
                                {Py_nb_multiply, slot(noneWith)},
                                {Py_nb_matrix_multiply, slot(noneWith)},
                                {Py_nb_true_divide, slot(noneWith)},
                                {Py_nb_floor_divide, slot(noneWith)},
                                {Py_nb_remainder, slot(noneWith)},
                                {Py_nb_divmod, slot(noneWith)},
                                {Py_nb_power, slot(noneWithTwo)},
                                {Py_nb_lshift, slot(noneWith)},
                                {Py_nb_rshift, slot(noneWith)},
                                {Py_nb_and, slot(noneWith)},
                                {Py_nb_or, slot(noneWith)},
                                {Py_nb_xor, slot(noneWith)},
                                {Py_nb_negative, slot(none)},
                                {Py_nb_positive, slot(none)},
                                {Py_nb_absolute, slot(none)},
                                {Py_nb_invert, slot(none)},
                                {Py_nb_int, slot(none)},
                                {Py_nb_float, slot(none)},
                                {Py_nb_index, slot(none)},
                                {Py_mp_length, slot(noLength)},
                                {Py_mp_subscript, slot(noneWith)},
                                {Py_mp_ass_subscript, slot(noSetting)},
                                {Py_sq_contains, slot(noContaining)},
                                {0, nullptr}};
  constexpr unsigned kFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  static PyType_Spec spec{"bifront._core.Pointer", sizeof(PointerObject), 0, kFlags, slots};
  static auto *type = reinterpret_cast<PyTypeObject *>(PyType_FromSpec(&spec));
  return type;
}

} // namespace

PyRef makePointer(ValueId value) {
  PyTypeObject *type = pointerType();
  PyRef made = checked(type ? type->tp_alloc(type, 0) : nullptr);
  reinterpret_cast<PointerObject *>(made.get())->value = value;
  return made;
}

std::optional<ValueId> pointerOf(PyObject *object) {
  if (!object || Py_TYPE(object) != pointerType())
    return std::nullopt;
  return reinterpret_cast<PointerObject *>(object)->value;
}

PointerGuard::PointerGuard(std::function<void()> refuse)
    : refuse_(std::move(refuse)), outer_(std::exchange(currentRefusal, &refuse_)) {}

PointerGuard::~PointerGuard() { currentRefusal = outer_; }

PyRef plainAttribute(PyObject *object, PyObject *name) {
  PyRef value = PyRef::steal(PyObject_GenericGetAttr(object, name));
  PyErr_Clear(); // it has none
  return value;
}

} // namespace bifront
