#include "speculate/capture_hooks.h"

#include "frontend/python_error.h"
#include "speculate/convert.h"
#include "support/pending_exception.h"

namespace bifront {
namespace {

PyRef captureEnter, captureExit, reachableState, foreignRandom, restoreForeignRandom;

[[noreturn]] void failWithException() {
  throw ConversionError(ExitReason::CaptureFailed, describeException(takeException().get()));
}

} // namespace

void setCaptureHooks(const CaptureHooks &hooks) {
  captureEnter = PyRef::share(hooks.enter);
  captureExit = PyRef::share(hooks.exit);
  reachableState = PyRef::share(hooks.reachable);
  foreignRandom = PyRef::share(hooks.randomStates);
  restoreForeignRandom = PyRef::share(hooks.restoreRandom);
}

PyObject *reachableStateHook() { return reachableState.get(); }

HookScope::HookScope() {
  if (!PyRef::steal(PyObject_CallNoArgs(captureEnter.get())))
    failWithException();
}

HookScope::~HookScope() {
  PendingException ofTheFunction;
  if (!PyRef::steal(PyObject_CallNoArgs(captureExit.get())))
    PyErr_WriteUnraisable(captureExit.get());
}

ForeignRandomGuard::ForeignRandomGuard()
    : before_(PyRef::steal(PyObject_CallNoArgs(foreignRandom.get()))) {
  if (!before_)
    failWithException();
}

bool ForeignRandomGuard::restore() {
  PendingException ofTheFunction;
  PyRef moved = PyRef::steal(PyObject_CallOneArg(restoreForeignRandom.get(), before_.get()));
  if (!moved)
    PyErr_WriteUnraisable(restoreForeignRandom.get());
  return moved.get() == Py_True;
}

} // namespace bifront
