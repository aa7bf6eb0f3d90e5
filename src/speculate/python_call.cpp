#include "speculate/python_call.h"

#include "frontend/numpy_data.h"
#include "frontend/python_error.h"
#include "frontend/random_sources.h"
#include "runtime/python_calls.h"
#include "speculate/logged_caller.h"
#include "speculate/opaque_run.h"
#include "support/gil.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace bifront {
namespace {

PyObject *objectAt(ObjectAddress address) { return reinterpret_cast<PyObject *>(address); }

PyRef objectOf(ValueType::Kind kind, const c10::IValue &operand) {
  switch (kind) {
  case ValueType::Kind::Object: return PyRef::share(objectAt(operand.toInt()));
  case ValueType::Kind::Int: return checked(PyLong_FromLongLong(operand.toInt()));
  case ValueType::Kind::Float: return checked(PyFloat_FromDouble(operand.toDouble()));
  case ValueType::Kind::Bool: return PyRef::share(operand.toBool() ? Py_True : Py_False);
  default: return checked(THPVariable_Wrap(operand.toTensor()));
  }
}

PyRef keywordsOf(const PythonCall &what) {
  if (what.keywords.empty())
    return {};
  PyRef names = checked(PyTuple_New(static_cast<Py_ssize_t>(what.keywords.size())));
  for (size_t i = 0; i < what.keywords.size(); ++i)
    PyTuple_SET_ITEM(names.get(), i,
                     checked(PyUnicode_InternFromString(what.keywords[i].c_str())).release());
  return names;
}

PyRef callWith(const PythonCall &what, PyObject *callee, std::span<const c10::IValue> operands) {
  std::vector<PyRef> owned;
  std::vector<PyObject *> arguments;
  for (size_t i = 0; i < operands.size(); ++i) {
    owned.push_back(objectOf(what.operands[i], operands[i]));
    arguments.push_back(owned.back().get());
  }
  OpaqueRun *run = OpaqueRun::current();
  if (run && !arguments.empty() && isRandomSource(arguments[0]))
    run->keepState(arguments[0]);
  for (size_t i = 0; run && i < arguments.size(); ++i)
    run->noteGiven(arguments[i]);
  PyRef names = keywordsOf(what);
  std::optional<NumpyErrors> atTheirLines; // CPython warns where the program stands
  if (!isLoggedCaller(callee) && std::any_of(arguments.begin(), arguments.end(), isNumpyData) &&
      mayWarn(callee))
    atTheirLines.emplace("raise");
  PyRef result = checked(PyObject_Vectorcall(callee, arguments.data(),
                                             arguments.size() - what.keywords.size(), names.get()));
  if (run && THPVariable_Check(result.get()) && !makesNewData(callee))
    run->noteShared(THPVariable_Unpack(result.get()));
  return result;
}

ObjectAddress callPython(const PythonCall &what, ObjectAddress callee,
                         std::span<const c10::IValue> operands, std::vector<ObjectAddress> &held) {
  Gil gil;
  try {
    PyRef result = callWith(what, objectAt(callee), operands);
    if (OpaqueRun *run = OpaqueRun::current()) {
      run->hold(result);
      run->noteMade(result.get());
    }
    held.push_back(reinterpret_cast<ObjectAddress>(result.release()));
    return held.back();
  } catch (const PythonError &) { // CPython raises it again
    throw std::runtime_error(what.name + " raises " + describeException(takeException().get()));
  }
}

} // namespace

void givePythonCalls() { setPythonCalls(callPython); }

} // namespace bifront
