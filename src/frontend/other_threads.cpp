// Torch's C lets go of the GIL, and other threads run meanwhile. They see Python's values as the
// program has left them, not as the walk has, and may change them.
#include "frontend/callbacks.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "support/pending_exception.h"

#include <algorithm>
#include <string_view>

namespace bifront {
namespace {

bool areOtherThreads() {
  return PyThreadState_Next(PyInterpreterState_ThreadHead(PyInterpreterState_Get())) != nullptr;
}

// Plain values of Python torch does nothing with.
bool isOfTorch(PyObject *value) {
  if (PyList_CheckExact(value))
    return PyList_GET_SIZE(value) > 0 && isOfTorch(PyList_GET_ITEM(value, 0));
  return isTensor(value) || isGraphNumber(value);
}

} // namespace

// Whether C that is given the value comes to see nothing that hiding changes, but by callbacks.
bool Interpreter::isApart(PyObject *value, int depth) const {
  constexpr int kDeepest = 4;
  if (isTensor(value) || isImmutable(value) || callbackOf(value) ||
      (PyType_Check(value) && !log_.hides(value)) ||
      std::string_view(Py_TYPE(value)->tp_name).starts_with("torch."))
    return true;
  bool isList = PyList_CheckExact(value);
  if (depth == kDeepest || !(isList || PyTuple_Check(value)) || (isList && log_.hides(value)))
    return false;
  return std::all_of(PySequence_Fast_ITEMS(value),
                     PySequence_Fast_ITEMS(value) + PySequence_Fast_GET_SIZE(value),
                     [&](PyObject *item) { return isApart(item, depth + 1); });
}

// Torch lets go of the GIL to free a tensor too.
PyRef Interpreter::outlasting(PyRef made) {
  if (made && isTensor(made.get()))
    outlasting_.push_back(made);
  if (made && (PyTuple_Check(made.get()) || PyList_CheckExact(made.get())))
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(made.get()); ++i)
      outlasting(PyRef::share(PySequence_Fast_GET_ITEM(made.get(), i)));
  return made;
}

PyRef Interpreter::letOthersRun(std::initializer_list<PyObject *> values,
                                const std::function<PyRef()> &call) {
  if (!areOtherThreads() || !std::ranges::any_of(values, isOfTorch))
    return call();
  if (!std::ranges::all_of(values, [&](PyObject *value) { return isApart(value); }))
    return outlasting(call());
  Hidden fromOthers(*this);
  return outlasting(call());
}

// Of functions of C alone: what is Python's may look at anything.
PyRef Interpreter::callC(PyObject *callee, std::span<PyObject *const> values,
                         const std::function<PyRef()> &call) {
  if (!areOtherThreads())
    return call();
  auto areApart = [&] {
    PyTypeObject *type = Py_TYPE(callee);
    PyRef self = type == &PyMethodDescr_Type || type == &PyWrapperDescr_Type
                     ? PyRef()
                     : PyRef::steal(PyObject_GetAttrString(callee, "__self__"));
    PyErr_Clear(); // of no object
    return (!self || isApart(self.get())) &&
           std::ranges::all_of(values, [&](PyObject *value) { return isApart(value); });
  };
  bool isC = PyCFunction_Check(callee) || Py_IS_TYPE(callee, &PyMethodDescr_Type) ||
             Py_IS_TYPE(callee, &PyWrapperDescr_Type) || Py_IS_TYPE(callee, &_PyMethodWrapper_Type);
  if (!isC || !areApart())
    return outlasting(call());
  Hidden fromOthers(*this);
  return outlasting(call());
}

Interpreter::Turned::Turned(PythonLog &log, bool turns) : log_(log), turns_(turns) { turn(); }
Interpreter::Turned::~Turned() { turn(); }

void Interpreter::Turned::turn() {
  PendingException ofTheProgram;
  if (turns_ && log_.isHidden())
    log_.show();
  else if (turns_)
    log_.hide();
}

Interpreter::Hidden::Hidden(Interpreter &interpreter)
    : Turned(interpreter.log_, !interpreter.log_.isHidden() && areOtherThreads()) {}

Interpreter::Walking::Walking(Interpreter &interpreter)
    : Turned(interpreter.log_, interpreter.log_.isHidden()) {}

} // namespace bifront
