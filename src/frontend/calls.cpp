// Call expressions, and functions that see the frame that calls them.
#include "frontend/interpreter.h"

#include <algorithm>

namespace bifront {

using namespace syntax;

// `isLogged`: of a logged call.
CallArguments Interpreter::argumentsOf(PythonFrame &frame, const Call &expression, bool isLogged) {
  CallArguments arguments;
  auto isStarred = [](const ExprPtr &argument) {
    return std::holds_alternative<Starred>(argument->node);
  };
  if (isLogged && std::ranges::none_of(expression.args, isStarred))
    for (const ExprPtr &argument : expression.args)
      arguments.positional.push_back(argumentOfLogged(frame, *argument));
  else
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
  if (auto result = callOverGenerator(frame, expression, callee.get()))
    return *result;
  CallArguments arguments = argumentsOf(frame, expression, isLoggedCall(frame, callee.get()));
  int line = frame.line;
  PyRef result = callAtSite(frame, callee.get(), std::move(arguments));
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
  if (is("locals") || is("vars"))
    return localsOf(frame);
  if (is("dir")) {
    PyRef names = checked(PyDict_Keys(localsOf(frame).get()));
    checked(PyList_Sort(names.get()));
    log_.noteFresh(names.get());
    return names;
  }
  return std::nullopt;
}

namespace {

// Of a comprehension that CPython has made part of the function.
bool isHidden([[maybe_unused]] PyCodeObject *code, [[maybe_unused]] Py_ssize_t local) {
#if PY_VERSION_HEX >= 0x030C0000
  constexpr int kHidden = 0x10;
  return PyBytes_AS_STRING(code->co_localspluskinds)[local] & kHidden;
#else
  return false;
#endif
}

} // namespace

// Before 3.13 a frame has one dict for that, which each call brings up to date.
PyRef Interpreter::localsOf(PythonFrame &frame) {
  if (!forks_.empty() || frame.comprehensions > 0 || frame.generator)
    throw CannotInterpret("looks at all names of a frame in a branch, a loop or a generator");
  if (!frame.locals || PY_VERSION_HEX >= 0x030D0000) {
    frame.locals = checked(PyDict_New());
    log_.noteFresh(frame.locals.get());
  }
  auto *code = reinterpret_cast<PyCodeObject *>(frame.syntax.code.get());
  auto put = [&](PyObject *name, PyObject *value) {
    if (value)
      refusePoison(value);
    if (value)
      checked(PyDict_SetItem(frame.locals.get(), name, value));
    else if (checked(PyDict_Contains(frame.locals.get(), name)))
      checked(PyDict_DelItem(frame.locals.get(), name));
  };
  auto putCell = [&](PyObject *name, size_t number) {
    PyObject *cell = frame.cells[number].get(), *value = PyCell_GET(cell);
    put(name, value ? found(Slot::Kind::Cell, cell, nullptr, value).get() : nullptr);
  };
  PyRef names = checked(PyCode_GetVarnames(code)), own = checked(PyCode_GetCellvars(code)),
        closure = checked(PyCode_GetFreevars(code));
  auto cellOf = [&](Py_ssize_t slot) -> std::optional<uint32_t> {
    for (const auto &[parameter, cell] : frame.syntax.cellParameters)
      if (parameter == slot)
        return cell;
    return std::nullopt;
  };
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names.get()); ++i) {
    PyObject *name = PyTuple_GET_ITEM(names.get(), i);
    if (auto cell = cellOf(i))
      putCell(name, *cell);
    else if (!isHidden(code, i))
      put(name, frame.slots[i].get());
  }
  Py_ssize_t numOwn = PyTuple_GET_SIZE(own.get());
  for (Py_ssize_t i = 0; i < numOwn; ++i) {
    auto isHere = [&](const auto &parameter) { return parameter.second == i; };
    if (std::ranges::none_of(frame.syntax.cellParameters, isHere))
      putCell(PyTuple_GET_ITEM(own.get(), i), i);
  }
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(closure.get()); ++i)
    putCell(PyTuple_GET_ITEM(closure.get(), i), numOwn + i);
  return frame.locals;
}

// sum() or list() of a generator expression, as the loop that it is: the graph may have to count
// its items. Nothing for other calls.
std::optional<PyRef> Interpreter::callOverGenerator(PythonFrame &frame, const Call &expression,
                                                    PyObject *callee) {
  bool isSum = callee == PyDict_GetItemString(frame.builtins, "sum");
  bool isList = callee == reinterpret_cast<PyObject *>(&PyList_Type);
  bool isPlain = expression.keywords.empty() && !expression.args.empty() &&
                 expression.args.size() <= (isSum ? 2U : 1U);
  if (!host_.policies || !(isSum || isList) || !isPlain)
    return std::nullopt;
  auto *generator = std::get_if<Comprehension>(&expression.args[0]->node);
  if (!generator || generator->kind != Comprehension::Kind::Generator ||
      std::holds_alternative<Starred>(expression.args.back()->node))
    return std::nullopt;
  AddedSlots added(frame); // what has been added up
  const size_t total = added.first;
  PyRef made = isList ? checked(PyList_New(0)) : PyRef();
  if (made)
    log_.noteFresh(made.get());
  auto element = [&] {
    PyRef value = eval(frame, *generator->element);
    if (made)
      return addTo(made.get(), value.get());
    refusePoison(frame.slots[total].get());
    frame.slots[total] = binary(BinaryOp::Add, frame.slots[total].get(), value.get());
  };
  auto begin = [&] {
    frame.slots.push_back(expression.args.size() > 1 ? eval(frame, *expression.args[1])
                                                     : checked(PyLong_FromLong(0)));
  };
  Iterable iterable;
  if (comprehendInGraph(frame, *generator, iterable, begin, element)) {
    refusePoison(frame.slots[total].get());
    return made ? made : frame.slots[total];
  }
  CallArguments arguments;
  arguments.positional.push_back(generatorOf(frame, *generator, iterable.object.get()));
  if (expression.args.size() > 1)
    arguments.positional.push_back(eval(frame, *expression.args[1]));
  int line = frame.line;
  PyRef result = call(callee, std::move(arguments));
  frame.line = line;
  return result;
}

} // namespace bifront
