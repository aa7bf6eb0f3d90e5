// Statements, but for `match`.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/pending.h"
#include "frontend/raised.h"

namespace bifront {

using namespace syntax;

Completion Interpreter::run(PythonFrame &frame, const Body &body) {
  return runFrom(frame, body, 0);
}

Completion Interpreter::runFrom(PythonFrame &frame, const Body &body, size_t first) {
  Pending pending(frame, {.body = &body});
  for (size_t i = first; i < body.size(); ++i) {
    pending.setNext(i + 1);
    Completion completion = run(frame, *body[i]);
    if (completion != Completion::Normal)
      return completion;
  }
  return Completion::Normal;
}

// What follows behind the statement that is running, up to the end of the function or of the
// iteration of a loop of the graph.
Completion Interpreter::runRest(PythonFrame &frame) {
  std::vector<PendingBody> pending = frame.pending;
  struct Restore {
    PythonFrame &frame;
    std::vector<PendingBody> &pending;
    ~Restore() { frame.pending = std::move(pending); }
  } restore{frame, pending};
  while (!frame.pending.empty()) {
    PendingBody rest = frame.pending.back();
    frame.pending.pop_back();
    switch (rest.kind) {
    case PendingBody::Kind::LoopBody: return Completion::Continue;
    case PendingBody::Kind::UnrolledLoop:
      if (policyOf(rest.site) < Policy::Loop)
        throw CannotFork(rest.site, Policy::Loop, "a loop ends early on one way of a branch");
      return Completion::Continue; // what comes next is the same on both ways
    case PendingBody::Kind::Guarded:
      throw CannotEndHere("a way of a branch leaves a `with` or a `try`");
    case PendingBody::Kind::Statements: break;
    }
    Completion completion = runFrom(frame, *rest.body, rest.next);
    if (completion != Completion::Normal)
      return completion;
  }
  frame.returned = PyRef::share(Py_None);
  return Completion::Return;
}

Completion Interpreter::run(PythonFrame &frame, const Stmt &stmt) {
  frame.line = stmt.line;
  Completion completion = std::visit([&](const auto &node) { return run(frame, node); }, stmt.node);
  log_.releaseIterators();
  return completion;
}

Completion Interpreter::run(PythonFrame &frame, const ExprStmt &stmt) {
  eval(frame, *stmt.value);
  return Completion::Normal;
}

//===- Assignments -------------------------------------------------------------------------===//

Completion Interpreter::run(PythonFrame &frame, const Assign &stmt) {
  PyRef value = eval(frame, *stmt.value);
  for (const ExprPtr &target : stmt.targets)
    assign(frame, *target, value);
  return Completion::Normal;
}

Completion Interpreter::run(PythonFrame &frame, const AugAssign &stmt) {
  auto changed = [&](PyObject *before) {
    return binary(stmt.op, before, eval(frame, *stmt.value).get(), true);
  };
  if (auto *name = std::get_if<Name>(&stmt.target->node)) {
    PyRef before = load(frame, name->binding);
    store(frame, name->binding, changed(before.get()));
  } else if (auto *access = std::get_if<Attribute>(&stmt.target->node)) {
    PyRef object = eval(frame, *access->object);
    PyRef after = changed(attribute(object.get(), access->name.get()).get());
    setAttribute(object.get(), access->name.get(), after.get());
  } else {
    const auto &subscript = std::get<Subscript>(stmt.target->node);
    PyRef object = eval(frame, *subscript.object), key = eval(frame, *subscript.index);
    PyRef after = changed(item(object.get(), key.get()).get());
    setItem(object.get(), key.get(), after.get());
  }
  return Completion::Normal;
}

Completion Interpreter::run(PythonFrame &frame, const Delete &stmt) {
  for (const ExprPtr &target : stmt.targets)
    remove(frame, *target);
  return Completion::Normal;
}

//===- Control flow ------------------------------------------------------------------------===//

Completion Interpreter::run(PythonFrame &frame, const Return &stmt) {
  if (returnsBehindLoop(frame, stmt))
    return Completion::Break;
  frame.returned = evalOrNone(frame, stmt.value);
  return Completion::Return;
}

Completion Interpreter::run(PythonFrame &frame, const If &stmt) {
  PyRef holds = condition(frame, *stmt.condition);
  auto then = [&] { return run(frame, stmt.then); };
  auto otherwise = [&] { return run(frame, stmt.otherwise); };
  if (isGraphNumber(holds.get()))
    if (auto completion = forkStatement(frame, &stmt, holds.get(), then, otherwise))
      return *completion;
  return truth(holds.get()) ? then() : otherwise();
}

//===- Exceptions --------------------------------------------------------------------------===//

bool mayBeCaught(const PythonFrame *frame) {
  for (; frame; frame = frame->caller)
    for (const PendingBody &body : frame->pending)
      if (body.kind == PendingBody::Kind::Guarded && body.site)
        return true;
  return false;
}

namespace {

// While it lives, `exception` is the one that is handled: what a bare `raise` raises, and the
// context of others.
class Handled {
public:
  explicit Handled(PyObject *exception) : before_(PyRef::steal(PyErr_GetHandledException())) {
    PyErr_SetHandledException(exception);
  }
  ~Handled() { PyErr_SetHandledException(before_ ? before_.get() : Py_None); }
  Handled(const Handled &) = delete;

private:
  PyRef before_;
};

} // namespace

Completion Interpreter::run(PythonFrame &frame, const Raise &stmt) {
  if (!stmt.exception) {
    PyRef handled = PyRef::steal(PyErr_GetHandledException());
    if (!handled || handled.get() == Py_None)
      raise(PyExc_RuntimeError, "No active exception to reraise");
    setException(handled);
    throw PythonError();
  }
  bool isLast = !forks_.empty() && !mayBeCaught(&frame); // nobody needs more than that it raises
  PyRef exception;
  try {
    exception = eval(frame, *stmt.exception);
  } catch (const std::exception &why) { // of a text of a tensor, say
    bool isOfText =
        dynamic_cast<const PythonError *>(&why) || typeid(why) == typeid(CannotInterpret);
    if (!isLast || !isOfText)
      throw;
    forgetFailure(why);
    PyErr_SetString(PyExc_RuntimeError, "an exception is raised");
    throw Raised();
  }
  if (PyExceptionClass_Check(exception.get()))
    exception = call(exception.get(), {});
  if (!PyExceptionInstance_Check(exception.get()))
    raise(PyExc_TypeError, "exceptions must derive from BaseException");
  if (stmt.cause) {
    PyRef cause = eval(frame, *stmt.cause);
    if (PyExceptionClass_Check(cause.get()))
      cause = call(cause.get(), {});
    if (cause.get() != Py_None && !PyExceptionInstance_Check(cause.get()))
      raise(PyExc_TypeError, "exception causes must derive from BaseException");
    PyException_SetCause(exception.get(), cause.get() == Py_None ? nullptr : cause.release());
  }
  setException(exception);
  throw Raised();
}

Completion Interpreter::run(PythonFrame &frame, const Assert &stmt) {
  PyRef holds = condition(frame, *stmt.condition);
  if (isUnknownNumber(holds.get()) && !mayBeCaught(&frame)) { // where it does not, CPython raises
    host_.recording->graph().assertTrue(conditionValue(holds.get()), "the program asserts it");
    return Completion::Normal;
  }
  if (truth(holds.get()))
    return Completion::Normal;
  CallArguments arguments;
  if (stmt.message)
    arguments.positional.push_back(eval(frame, *stmt.message));
  setException(call(PyExc_AssertionError, std::move(arguments)));
  throw PythonError();
}

bool Interpreter::catches(PythonFrame &frame, const Handler &handler, PyObject *exception) {
  if (!handler.type)
    return true;
  PyRef type = eval(frame, *handler.type);
  return PyErr_GivenExceptionMatches(exception, type.get()) != 0;
}

Completion Interpreter::runHandler(PythonFrame &frame, const Handler &handler,
                                   PyObject *exception) {
  Handled handled(exception);
  if (!handler.name)
    return run(frame, handler.body);
  store(frame, *handler.name, PyRef::share(exception));
  struct Unbind { // `e` is gone behind `except ... as e`
    Interpreter &interpreter;
    PythonFrame &frame;
    const Binding &name;
    ~Unbind() {
      if (name.kind == Binding::Kind::Local)
        frame.slots[name.index] = {};
    }
  } unbind{*this, frame, *handler.name};
  return run(frame, handler.body);
}

// The exception that has come to a statement that handles it. What loops have gone through on its
// way has ended by then.
PyRef Interpreter::caught() {
  rethrowRefusal();
  PyRef exception = takeException();
  log_.releaseIterators();
  rethrowRefusal();
  return exception;
}

Completion Interpreter::runHandled(PythonFrame &frame, const Try &stmt) {
  PyRef exception;
  try {
    Completion completion = run(frame, stmt.body);
    if (completion != Completion::Normal)
      return completion;
  } catch (const PythonError &) {
    exception = caught();
  }
  if (!exception)
    return run(frame, stmt.otherwise);
  for (const Handler &handler : stmt.handlers)
    if (catches(frame, handler, exception.get()))
      return runHandler(frame, handler, exception.get());
  setException(exception);
  throw PythonError();
}

Completion Interpreter::run(PythonFrame &frame, const Try &stmt) {
  const void *catches = stmt.handlers.empty() ? nullptr : &stmt;
  Pending ends(frame, {.kind = PendingBody::Kind::Guarded, .site = catches});
  if (stmt.finally.empty())
    return runHandled(frame, stmt);
  PyRef exception;
  Completion completion = Completion::Normal;
  try {
    completion = runHandled(frame, stmt);
  } catch (const PythonError &) {
    exception = caught();
  }
  PyRef returned = frame.returned;
  Completion last;
  {
    std::optional<Handled> handled;
    if (exception)
      handled.emplace(exception.get());
    last = run(frame, stmt.finally);
  }
  if (last != Completion::Normal)
    return last;
  if (exception) {
    setException(exception);
    throw PythonError();
  }
  frame.returned = std::move(returned);
  return completion;
}

//===- With --------------------------------------------------------------------------------===//

Completion Interpreter::run(PythonFrame &frame, const With &stmt) {
  Pending ends(frame, {.kind = PendingBody::Kind::Guarded});
  return runWith(frame, stmt, 0);
}

Completion Interpreter::runWith(PythonFrame &frame, const With &stmt, size_t index) {
  if (index == stmt.items.size())
    return run(frame, stmt.body);
  const WithItem &item = stmt.items[index];
  PyRef context = eval(frame, *item.context);
  PyRef exit = specialMethod(context.get(), "__exit__");
  PyRef entered = call(specialMethod(context.get(), "__enter__").get(), {});
  auto leave = [&](PyObject *type, PyObject *value, PyObject *trace) {
    CallArguments arguments;
    for (PyObject *argument : {type, value, trace})
      arguments.positional.push_back(PyRef::share(argument));
    return call(exit.get(), std::move(arguments));
  };
  PyRef exception;
  Completion completion = Completion::Normal;
  try {
    if (item.target)
      assign(frame, *item.target, std::move(entered));
    completion = runWith(frame, stmt, index + 1);
  } catch (const PythonError &) {
    exception = caught();
  }
  if (!exception) {
    PyRef returned = frame.returned;
    leave(Py_None, Py_None, Py_None);
    frame.returned = std::move(returned);
    return completion;
  }
  Handled handled(exception.get());
  PyRef trace = PyRef::steal(PyException_GetTraceback(exception.get()));
  auto *type = reinterpret_cast<PyObject *>(Py_TYPE(exception.get()));
  if (truth(leave(type, exception.get(), trace ? trace.get() : Py_None).get()))
    return Completion::Normal;
  setException(exception);
  throw PythonError();
}

//===- Definitions -------------------------------------------------------------------------===//

Completion Interpreter::run(PythonFrame &frame, const FunctionDef &stmt) {
  std::vector<PyRef> decorators = evalAll(frame, stmt.decorators);
  PyRef function = makeFunction(frame, stmt.code, stmt.defaults, stmt.keywordDefaults);
  if (!stmt.annotations.empty()) {
    PyRef annotations = checked(PyDict_New());
    for (const auto &[name, annotation] : stmt.annotations)
      checked(PyDict_SetItem(annotations.get(), name.get(), eval(frame, *annotation).get()));
    checked(PyFunction_SetAnnotations(function.get(), annotations.get()));
  }
  store(frame, stmt.target, decorated(std::move(decorators), std::move(function)));
  return Completion::Normal;
}

Completion Interpreter::run(PythonFrame &frame, const ClassDef &stmt) {
  std::vector<PyRef> decorators = evalAll(frame, stmt.decorators);
  CallArguments arguments;
  arguments.positional.push_back(makeFunction(frame, stmt.code, {}, {}));
  arguments.positional.push_back(stmt.name);
  for (PyRef &base : evalAll(frame, stmt.bases))
    arguments.positional.push_back(std::move(base));
  for (const Keyword &keyword : stmt.keywords) {
    if (!keyword.name)
      throw CannotInterpret("a class statement with `**`");
    arguments.keywords.emplace_back(keyword.name, eval(frame, *keyword.value));
  }
  PyObject *build = PyDict_GetItemString(frame.builtins, "__build_class__");
  PyRef made = callUnwalked(build, arguments);
  log_.noteFresh(made.get());
  PyObject *name = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0;
       PyType_Check(made.get()) &&
       PyDict_Next(reinterpret_cast<PyTypeObject *>(made.get())->tp_dict, &at, &name, &value);)
    noteMade(value);
  store(frame, stmt.target, decorated(std::move(decorators), std::move(made)));
  return Completion::Normal;
}

PyRef Interpreter::decorated(std::vector<PyRef> decorators, PyRef value) {
  for (auto decorator = decorators.rbegin(); decorator != decorators.rend(); ++decorator) {
    CallArguments arguments;
    arguments.positional.push_back(std::move(value));
    value = call(decorator->get(), std::move(arguments));
  }
  return value;
}

//===- Imports -----------------------------------------------------------------------------===//

namespace {

// Of a module that is there already: loading one has effects.
PyRef imported(PyObject *name, PyObject *globals, PyObject *fromList, int level) {
  PyRef module = PyRef::steal(
      level == 0 ? PyImport_GetModule(name)
                 : PyImport_ImportModuleLevelObject(name, globals, nullptr, fromList, level));
  if (!module && !PyErr_Occurred())
    throw CannotInterpret("a module is imported for the first time");
  if (!module)
    throw PythonError();
  return module;
}

} // namespace

Completion Interpreter::run(PythonFrame &frame, const Import &stmt) {
  PyRef module = imported(stmt.module.get(), frame.globals, Py_None, 0);
  if (!stmt.asName) { // the package is bound, not what lies in it
    PyRef dot = checked(PyUnicode_FromString("."));
    PyRef parts = checked(PyUnicode_Split(stmt.module.get(), dot.get(), 1));
    module = imported(PyList_GET_ITEM(parts.get(), 0), frame.globals, Py_None, 0);
  }
  store(frame, stmt.target, std::move(module));
  return Completion::Normal;
}

Completion Interpreter::run(PythonFrame &frame, const ImportFrom &stmt) {
  PyRef names = checked(PyTuple_New(static_cast<Py_ssize_t>(stmt.names.size())));
  for (size_t i = 0; i < stmt.names.size(); ++i)
    PyTuple_SET_ITEM(names.get(), i, Py_NewRef(stmt.names[i].first.get()));
  PyRef module = imported(stmt.module.get(), frame.globals, names.get(), stmt.level);
  for (const auto &[name, target] : stmt.names) {
    PyRef value = attributeOrAbsent(module.get(), name.get());
    if (!value)
      throw CannotInterpret("a name that is imported is not there yet");
    store(frame, target, std::move(value));
  }
  return Completion::Normal;
}

} // namespace bifront
