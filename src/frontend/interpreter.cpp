#include "frontend/interpreter.h"

#include "capture/python_values.h"
#include "frontend/callbacks.h"

namespace bifront {

Interpreter::Interpreter(const InterpreterHost &host)
    : host_(host), print_(PyRef::share(PyDict_GetItemString(PyEval_GetBuiltins(), "print"))) {}

Interpreter::~Interpreter() {
  for (const PyRef &callback : callbacks_)
    endCallback(callback.get());
}

PyRef Interpreter::run(PyObject *callee, CallArguments arguments) {
  try {
    PyRef result = call(callee, std::move(arguments));
    rethrowRefusal();
    return result;
  } catch (const PythonError &) {
    rethrowRefusal();
    throw;
  }
}

const PythonFrame *Interpreter::programFrame() const {
  for (const PythonFrame *frame = frame_; frame; frame = frame->caller) {
    auto *code = reinterpret_cast<PyCodeObject *>(frame->syntax.code.get());
    const char *file = PyUnicode_AsUTF8(code->co_filename);
    if (file && !isLibraryFile(file))
      return frame;
  }
  return nullptr;
}

} // namespace bifront
