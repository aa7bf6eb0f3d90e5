// Call expressions, and functions that see the frame that calls them.
#include "frontend/interpreter.h"

namespace bifront {

using namespace syntax;

CallArguments Interpreter::argumentsOf(PythonFrame &frame, const Call &expression) {
  CallArguments arguments;
  arguments.positional = evalAll(frame, expression.args);
  for (const Keyword &keyword : expression.keywords) {
    PyRef value = eval(frame, *keyword.value);
    if (keyword.name) {
      arguments.keywords.emplace_back(keyword.name, std::move(value));
      continue;
    }
    if (!PyDict_Check(value.get()))
      throw CannotInterpret("`**` in a call takes a mapping that is no dict");
    log_.readContainer(value.get());
    PyObject *name, *item;
    for (Py_ssize_t at = 0; PyDict_Next(value.get(), &at, &name, &item);) {
      if (!PyUnicode_Check(name))
        raise(PyExc_TypeError, "keywords must be strings");
      arguments.keywords.emplace_back(PyRef::share(name), PyRef::share(item));
    }
  }
  for (size_t i = 0; i < arguments.keywords.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if (PyUnicode_Compare(arguments.keywords[i].first.get(), arguments.keywords[k].first.get()) ==
          0)
        throw CannotInterpret("a keyword is given twice");
  return arguments;
}

PyRef Interpreter::eval(PythonFrame &frame, const Call &expression) {
  PyRef callee = eval(frame, *expression.callee);
  if (auto result = callOfFrame(frame, expression, callee.get()))
    return *result;
  CallArguments arguments = argumentsOf(frame, expression);
  int line = frame.line;
  PyRef result = callAtSite(frame, expression, callee.get(), std::move(arguments));
  frame.line = line;
  return result;
}

std::optional<PyRef> Interpreter::callOfFrame(PythonFrame &frame, const Call &expression,
                                              PyObject *callee) {
  if (callee == reinterpret_cast<PyObject *>(&PySuper_Type) && expression.args.empty()) {
    if (!frame.syntax.classCell)
      raise(PyExc_RuntimeError, "super(): __class__ cell not found");
    PyObject *cls = PyCell_GET(frame.cells[*frame.syntax.classCell].get());
    PyRef self = frame.slots[0];
    if (!self && !frame.syntax.cellParameters.empty())
      self = PyRef::share(PyCell_GET(frame.cells[frame.syntax.cellParameters[0].second].get()));
    return checked(PyObject_CallFunctionObjArgs(callee, cls, self.get(), nullptr));
  }
  if (!PyCFunction_Check(callee) || !expression.args.empty() || !expression.keywords.empty())
    return std::nullopt;
  auto is = [&](const char *name) { return callee == PyDict_GetItemString(frame.builtins, name); };
  if (is("globals"))
    return PyRef::share(frame.globals);
  if (is("locals") || is("vars") || is("dir"))
    throw CannotInterpret("looks at all names of a frame");
  return std::nullopt;
}

} // namespace bifront
