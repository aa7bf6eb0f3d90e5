// Calls of functions and classes of the program.
#include "frontend/generator.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/left_at.h"
#include "frontend/numpy_data.h"
#include "frontend/walked_helpers.h"

#include <exception>
#include <string_view>

namespace bifront {

using namespace syntax;

namespace {

// Deeper than that, what is unrolled here is too large a graph anyway, and the C stack ends.
constexpr int kDeepest = 180;

// What it warns of names the line of the program that calls it.
bool mayWarn(PyObject *function) {
  static PyObject *const name = PyUnicode_InternFromString("warnings");
  PyRef names = checked(PyObject_GetAttrString(PyFunction_GET_CODE(function), "co_names"));
  return checked(PySequence_Contains(names.get(), name)) != 0;
}

// The answer is a branch of the walk.
bool asksForValues(PyObject *function) {
  static PyObject *const known = ofModule("torch.nn.functional", "gaussian_nll_loss");
  return function == known;
}

// Python functions of torch that read nothing of the program but their arguments: CPython runs them
// faster.
bool isStateless(PyObject *function) {
  PyObject *module = PyDict_GetItemString(PyFunction_GET_GLOBALS(function), "__name__");
  const char *text = module && PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : nullptr;
  if (!text)
    return false;
  std::string_view name = text;
  if (name.starts_with("bifront.") && name != "bifront._walked")
    return true;
  if (name == "torch.nn.functional")
    return !mayWarn(function) && !asksForValues(function);
  for (std::string_view known : {"torch",
                                 "torch.functional",
                                 "torch._tensor",
                                 "torch.overrides",
                                 "torch.autograd",
                                 "torch.autograd.graph",
                                 "torch._jit_internal",
                                 "torch.special",
                                 "torch.linalg",
                                 "torch.fft",
                                 "torch.random",
                                 "torch.nn._reduction",
                                 "torch._utils",
                                 "torch._VF",
                                 "torch._ops",
                                 "torch._lowrank",
                                 "torch.amp.autocast_mode",
                                 "torch.autograd.grad_mode",
                                 "torch.utils._python_dispatch",
                                 "torch._compile",
                                 "torch.compiler",
                                 "torch._dynamo",
                                 "torch.jit",
                                 "torch.jit._trace"})
    if (name == known)
      return true;
  return false;
}

// What differentiates on a level of torch.func's own, and what does the same by autograd alone:
// the name of a helper, or null.
const char *helperForTransform(PyObject *function) {
  static const char *const name = "torch._functorch.eager_transforms";
  PyObject *module = PyFunction_GET_MODULE(function); // as its decorators have left it
  if (!module || !PyUnicode_Check(module) || PyUnicode_CompareWithASCIIString(module, name) != 0)
    return nullptr;
  for (auto [known, helper] : {std::pair{"grad_and_value_impl", "grad_and_value"},
                               std::pair{"_vjp_with_argnums", "vjp_with_argnums"}})
    if (ofModule(name, known) == function)
      return helper;
  return nullptr;
}

PyObject *builtinsOf(PyObject *function) {
  return reinterpret_cast<PyFunctionObject *>(function)->func_builtins;
}

} // namespace

PyRef Interpreter::call(PyObject *callee, CallArguments arguments) {
  if (auto result = callOnData(callee, arguments))
    return *result;
  if (auto array = arrayOfTensor(callee, arguments))
    return *array;
  if (auto said = callOfOutput(callee, arguments))
    return *said;
  if (PyFunction_Check(callee) && callee != print_.get())
    return callFunction(callee, std::move(arguments));
  if (PyMethod_Check(callee)) {
    arguments.positional.insert(arguments.positional.begin(),
                                PyRef::share(PyMethod_GET_SELF(callee)));
    return call(PyMethod_GET_FUNCTION(callee), std::move(arguments));
  }
  if (auto known = callKnown(callee, arguments))
    return *known;
  if (PyType_Check(callee))
    return callClass(reinterpret_cast<PyTypeObject *>(callee), std::move(arguments));
  if (hasWalkedMethod(callee, "__call__")) {
    log_.readType(Py_TYPE(callee));
    log_.readTypeOf(callee);
    arguments.positional.insert(arguments.positional.begin(), PyRef::share(callee));
    return call(typeAttribute(Py_TYPE(callee), "__call__"), std::move(arguments));
  }
  return callNative(callee, arguments);
}

//===- Functions ---------------------------------------------------------------------------===//

PyRef Interpreter::callFunction(PyObject *function, CallArguments arguments) {
  if (auto result = callOfAutograd(function, arguments))
    return *result;
  if (isStateless(function) && !resizesInside(function, arguments)) {
    if (auto result = callOfResizing(function, arguments))
      return *result;
    refuseSetter(function);
    for (const PyRef &argument : arguments.positional)
      noteAsked(argument.get());
    PyRef result = callDirectly(function, arguments);
    readAnswerOfTorch(function, arguments, result.get());
    return result;
  }
  if (const char *helper = helperForTransform(function))
    return call(walkedHelper(helper).get(), std::move(arguments));
  constexpr int kAsync = CO_COROUTINE | CO_ASYNC_GENERATOR | CO_ITERABLE_COROUTINE;
  if (reinterpret_cast<PyCodeObject *>(PyFunction_GET_CODE(function))->co_flags & kAsync)
    throw CannotInterpret("an async function is called");
  std::string whyNot;
  auto syntax = [&] {
    Hidden fromOthers(*this); // who run while a file is read
    return syntaxOf(function, whyNot);
  }();
  if (!syntax) {
    try {
      readReached(function, arguments);
      return callUnwalked(function, arguments);
    } catch (const CannotInterpret &why) {
      throw UnknownEffects(why.what());
    }
  }
  if (depth_ >= kDeepest)
    throw CannotInterpret("calls are nested too deeply to be unrolled");
  log_.readTypeOf(function); // of a function: its code and its defaults
  auto frame =
      std::make_unique<PythonFrame>(PythonFrame{.syntax = *syntax,
                                                .function = function,
                                                .globals = PyFunction_GET_GLOBALS(function),
                                                .builtins = builtinsOf(function)});
  frame->owner = syntax;
  if (!bind(*frame, arguments)) // CPython finds the words
    return callDirectly(function, arguments);
  if (syntax->isGenerator)
    return makeGenerator(std::move(frame), PyRef::share(function), syntax);
  if (host_.policies) {
    if (auto result = callInGraph(*frame))
      return *result;
    detectRecursion(*frame);
  }
  return runBody(*frame);
}

PyRef Interpreter::runBody(PythonFrame &frame) {
  struct Entered {
    Interpreter &interpreter;
    int exceptions = std::uncaught_exceptions();
    Entered(Interpreter &interpreter, PythonFrame &frame) : interpreter(interpreter) {
      frame.caller = interpreter.frame_;
      frame.forks = interpreter.forks_.size();
      interpreter.frame_ = &frame;
      ++interpreter.depth_;
    }
    ~Entered() {
      if (std::uncaught_exceptions() > exceptions)
        noteLeaving(*interpreter.frame_);
      interpreter.frame_ = interpreter.frame_->caller;
      --interpreter.depth_;
    }
  };
  Entered entered(*this, frame);
  try {
    run(frame, frame.syntax.body);
  } catch (const PythonError &) {
    if (!frame.consumer)
      refuseWaiting(frame);
    throw;
  }
  return frame.returned ? std::move(frame.returned) : PyRef::share(Py_None);
}

// By the rules of CPython's calls. False where they do not fit.
bool Interpreter::bind(PythonFrame &frame, CallArguments &arguments) {
  auto *code = reinterpret_cast<PyCodeObject *>(frame.syntax.code.get());
  auto *function = reinterpret_cast<PyFunctionObject *>(frame.function);
  size_t positional = code->co_argcount, keywordOnly = code->co_kwonlyargcount;
  size_t named = positional + keywordOnly;
  bool takesRest = code->co_flags & CO_VARARGS, takesKeywords = code->co_flags & CO_VARKEYWORDS;
  frame.slots.resize(frame.syntax.numSlots);
  size_t given = arguments.positional.size();
  if (given > positional && !takesRest)
    return false;
  for (size_t i = 0; i < std::min(given, positional); ++i)
    frame.slots[i] = arguments.positional[i];
  if (takesRest) {
    size_t rest = given > positional ? given - positional : 0;
    PyRef tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(rest)));
    for (size_t i = 0; i < rest; ++i)
      PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(arguments.positional[positional + i].get()));
    frame.slots[named] = std::move(tuple);
  }
  PyRef others = takesKeywords ? checked(PyDict_New()) : PyRef();
  if (others)
    log_.noteFresh(others.get());
  for (const auto &[name, value] : arguments.keywords) {
    size_t slot = code->co_posonlyargcount;
    while (slot < named && PyUnicode_Compare(frame.syntax.slotNames[slot].get(), name.get()) != 0)
      ++slot;
    if (slot < named) {
      if (frame.slots[slot])
        return false; // twice
      frame.slots[slot] = value;
    } else if (!others || PyDict_Contains(others.get(), name.get())) {
      return false;
    } else {
      checked(PyDict_SetItem(others.get(), name.get(), value.get()));
    }
  }
  if (others)
    frame.slots[named + (takesRest ? 1 : 0)] = std::move(others);
  size_t numDefaults = function->func_defaults ? PyTuple_GET_SIZE(function->func_defaults) : 0;
  for (size_t i = 0; i < positional; ++i) {
    if (frame.slots[i])
      continue;
    if (i + numDefaults < positional)
      return false; // missing
    frame.slots[i] =
        PyRef::share(PyTuple_GET_ITEM(function->func_defaults, i + numDefaults - positional));
  }
  for (size_t i = positional; i < named; ++i) {
    if (frame.slots[i])
      continue;
    PyObject *value = function->func_kwdefaults
                          ? checkedOrAbsent(PyDict_GetItemWithError(
                                function->func_kwdefaults, frame.syntax.slotNames[i].get()))
                          : nullptr;
    if (!value)
      return false;
    frame.slots[i] = found(Slot::Kind::DictItem, function->func_kwdefaults,
                           frame.syntax.slotNames[i].get(), value);
  }
  bindCells(frame);
  return true;
}

void Interpreter::bindCells(PythonFrame &frame) {
  const Function &syntax = frame.syntax;
  for (uint32_t i = 0; i < syntax.numCells; ++i)
    frame.cells.push_back(newCell());
  for (const auto &[slot, cell] : syntax.cellParameters)
    PyCell_SET(frame.cells[cell].get(), frame.slots[slot].release());
  PyObject *closure = PyFunction_GET_CLOSURE(frame.function);
  for (Py_ssize_t i = 0; closure && i < PyTuple_GET_SIZE(closure); ++i)
    frame.cells.push_back(PyRef::share(PyTuple_GET_ITEM(closure, i)));
  frame.cells.resize(frame.cells.size() + syntax.numComprehensionCells);
}

PyRef Interpreter::newCell() {
  PyRef cell = checked(PyCell_New(nullptr));
  log_.noteFresh(cell.get());
  return cell;
}

void Interpreter::makeCells(PythonFrame &frame, const Comprehension &comprehension) {
  for (uint32_t cell : comprehension.freshCells)
    frame.cells[cell] = newCell();
}

PyRef Interpreter::makeFunction(PythonFrame &frame, const NestedCode &code,
                                const std::vector<ExprPtr> &defaults,
                                const std::vector<std::pair<PyRef, ExprPtr>> &keywordDefaults) {
  PyRef values;
  if (!defaults.empty()) {
    std::vector<PyRef> evaluated = evalAll(frame, defaults);
    values = checked(PyTuple_New(static_cast<Py_ssize_t>(evaluated.size())));
    for (size_t i = 0; i < evaluated.size(); ++i)
      PyTuple_SET_ITEM(values.get(), i, evaluated[i].release());
  }
  PyRef named;
  if (!keywordDefaults.empty()) {
    named = checked(PyDict_New());
    log_.noteFresh(named.get());
    for (const auto &[name, value] : keywordDefaults)
      checked(PyDict_SetItem(named.get(), name.get(), eval(frame, *value).get()));
  }
  PyRef function = checked(PyFunction_New(code.code.get(), frame.globals));
  if (values)
    checked(PyFunction_SetDefaults(function.get(), values.get()));
  if (named)
    checked(PyFunction_SetKwDefaults(function.get(), named.get()));
  if (!code.closure.empty()) {
    PyRef closure = checked(PyTuple_New(static_cast<Py_ssize_t>(code.closure.size())));
    for (size_t i = 0; i < code.closure.size(); ++i)
      PyTuple_SET_ITEM(closure.get(), i, Py_NewRef(frame.cells[code.closure[i]].get()));
    checked(PyFunction_SetClosure(function.get(), closure.get()));
  }
  log_.noteFresh(function.get());
  makers_[function.get()] = {function, frame.function};
  return function;
}

PyRef Interpreter::eval(PythonFrame &frame, const Lambda &lambda) {
  return makeFunction(frame, lambda.code, lambda.defaults, lambda.keywordDefaults);
}

//===- Classes -----------------------------------------------------------------------------===//

PyRef Interpreter::callClass(PyTypeObject *cls, CallArguments arguments) {
  auto *object = reinterpret_cast<PyObject *>(cls);
  log_.readType(cls);
  if (hasWalkedMethod(object, "__call__")) {
    arguments.positional.insert(arguments.positional.begin(), PyRef::share(object));
    return call(typeAttribute(Py_TYPE(object), "__call__"), std::move(arguments));
  }
  if (Py_TYPE(object)->tp_call != PyType_Type.tp_call)
    return callNative(object, arguments);
  return makeInstance(cls, std::move(arguments));
}

// As type.__call__ does.
PyRef Interpreter::makeInstance(PyTypeObject *cls, CallArguments arguments) {
  auto *object = reinterpret_cast<PyObject *>(cls);
  log_.readType(cls);
  if (typeAttribute(cls, "__del__"))
    throw CannotInterpret("an object with a `__del__` is made");
  PyObject *init = typeAttribute(cls, "__init__"), *create = typeAttribute(cls, "__new__");
  PyRef ownNew = create && Py_IS_TYPE(create, &PyStaticMethod_Type)
                     ? checked(PyObject_GetAttrString(create, "__func__"))
                     : PyRef();
  static PyObject *ordinaryInit = typeAttribute(&PyBaseObject_Type, "__init__");
  bool isPlain = cls->tp_new == PyBaseObject_Type.tp_new && init == ordinaryInit;
  bool walksInit = init && PyFunction_Check(init);
  bool walksNew = ownNew && PyFunction_Check(ownNew.get());
  if ((!walksInit && !walksNew && !isPlain) || !(cls->tp_flags & Py_TPFLAGS_HEAPTYPE))
    return callNative(object, arguments);
  if (!walksNew && isMadeInRun(cls, arguments))
    return makeInRun(cls, std::move(arguments));
  PyRef instance;
  if (walksNew) {
    CallArguments forNew = arguments;
    forNew.positional.insert(forNew.positional.begin(), PyRef::share(object));
    instance = call(ownNew.get(), std::move(forNew));
  } else {
    instance = newInstance(cls, arguments);
  }
  if (Py_REFCNT(instance.get()) == 1)
    log_.noteFresh(instance.get());
  if (walksInit && PyObject_TypeCheck(instance.get(), cls)) {
    arguments.positional.insert(arguments.positional.begin(), instance);
    if (call(init, std::move(arguments)).get() != Py_None)
      raise(PyExc_TypeError, "__init__() should return None");
  }
  return instance;
}

} // namespace bifront
