// Calls of C functions: what they read of Python's values is noted before they run. Nothing is
// called of which it is not known that it has no effects.
#include "frontend/callbacks.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/later.h"
#include "frontend/output.h"
#include "frontend/plain_containers.h"
#include "frontend/pointers.h"
#include "frontend/stacked_items.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace bifront {
namespace {

// What pybind11 keeps beside a function of a module.
bool isOfPybind(PyObject *self) {
  return std::string_view(Py_TYPE(self)->tp_name).find("pybind11_detail_function_record") !=
         std::string_view::npos;
}

// The module or type that a C function belongs to: "math", "torch._C", "str".
std::string ownerOf(PyObject *callee) {
  if (PyType_Check(callee)) {
    std::string module = attributeText(callee, "__module__");
    return module == "builtins" ? "builtins.type" : module;
  }
  PyTypeObject *type = Py_TYPE(callee);
  if (type == &PyMethodDescr_Type || type == &PyWrapperDescr_Type ||
      type == &PyClassMethodDescr_Type || type == &PyGetSetDescr_Type)
    return PyDescr_TYPE(callee)->tp_name;
  if (PyCFunction_Check(callee)) {
    PyObject *self = PyCFunction_GET_SELF(callee);
    if (self && !PyModule_Check(self) && !PyCapsule_CheckExact(self) && !isOfPybind(self))
      return PyType_Check(self) ? reinterpret_cast<PyTypeObject *>(self)->tp_name
                                : Py_TYPE(self)->tp_name;
    return attributeText(callee, "__module__");
  }
  if (type == &_PyMethodWrapper_Type) {
    PyRef self = PyRef::steal(PyObject_GetAttrString(callee, "__self__"));
    return self ? Py_TYPE(self.get())->tp_name : "";
  }
  return type->tp_name;
}

// C functions of these change nothing and look at nothing but their arguments.
bool isEffectFree(PyObject *callee) {
  static constexpr std::string_view owners[] = {"math",
                                                "cmath",
                                                "_operator",
                                                "operator",
                                                "itertools",
                                                "_functools",
                                                "functools",
                                                "functools.partial",
                                                "_collections",
                                                "collections",
                                                "str",
                                                "int",
                                                "float",
                                                "bool",
                                                "tuple",
                                                "bytes",
                                                "complex",
                                                "range",
                                                "slice",
                                                "frozenset",
                                                "object",
                                                "type",
                                                "super",
                                                "property",
                                                "dict_keys",
                                                "dict_values",
                                                "dict_items",
                                                "list",
                                                "dict",
                                                "set",
                                                "method",
                                                "function",
                                                "_abc",
                                                "_weakref",
                                                "weakref",
                                                "enum",
                                                "types",
                                                "module",
                                                "_bisect",
                                                "bisect",
                                                "copy",
                                                "numbers",
                                                "fractions",
                                                "decimal",
                                                "mappingproxy",
                                                "NoneType",
                                                "_sre",
                                                "re",
                                                "re.Pattern",
                                                "re.Match",
                                                "typing",
                                                "_typing",
                                                "weakref.ReferenceType",
                                                "collections.deque",
                                                "collections.OrderedDict",
                                                "collections.defaultdict",
                                                "odict_iterator",
                                                "list_iterator",
                                                "tuple_iterator",
                                                "range_iterator",
                                                "zip",
                                                "enumerate",
                                                "map",
                                                "filter",
                                                "reversed",
                                                "builtins.type",
                                                "BaseException",
                                                "Exception",
                                                "contextlib",
                                                "string",
                                                "_string"};
  static constexpr std::string_view functions[] = {
      "abs",    "all",    "any",   "ascii",  "bin",  "callable",   "chr",
      "divmod", "format", "hash",  "hex",    "id",   "isinstance", "issubclass",
      "iter",   "len",    "max",   "min",    "next", "oct",        "ord",
      "pow",    "repr",   "round", "sorted", "sum",  "getattr",    "hasattr"};
  if (PyType_Check(callee)) { // what makes an instance is what it inherits
    auto *type = reinterpret_cast<PyTypeObject *>(callee);
    while (type->tp_flags & Py_TPFLAGS_HEAPTYPE && type->tp_base &&
           type->tp_new == type->tp_base->tp_new && type->tp_init == type->tp_base->tp_init)
      type = type->tp_base;
    callee = reinterpret_cast<PyObject *>(type);
  }
  std::string owner = ownerOf(callee);
  if (owner == "builtins")
    return std::find(std::begin(functions), std::end(functions),
                     attributeText(callee, "__name__")) != std::end(functions);
  if (owner == "posix")
    return attributeText(callee, "__name__") == "fspath";
  if (owner.starts_with("torch") || owner.starts_with("Tensor") || owner == "Parameter")
    return true;
  if (PyType_Check(callee) &&
      PyType_IsSubtype(reinterpret_cast<PyTypeObject *>(callee),
                       reinterpret_cast<PyTypeObject *>(PyExc_BaseException)))
    return true;
  if (PyCFunction_Check(callee) && attributeText(callee, "__name__") == "_make_subclass")
    return true;
  return std::find(std::begin(owners), std::end(owners), owner) != std::end(owners);
}

// The arguments in the order and form that PyObject_Vectorcall takes.
struct FlatArguments {
  explicit FlatArguments(const CallArguments &arguments) {
    for (const PyRef &value : arguments.positional)
      values.push_back(value.get());
    count = values.size();
    if (arguments.keywords.empty())
      return;
    names = checked(PyTuple_New(static_cast<Py_ssize_t>(arguments.keywords.size())));
    for (size_t i = 0; i < arguments.keywords.size(); ++i) {
      PyTuple_SET_ITEM(names.get(), i, Py_NewRef(arguments.keywords[i].first.get()));
      values.push_back(arguments.keywords[i].second.get());
    }
  }
  std::vector<PyObject *> values;
  size_t count;
  PyRef names;
};

// A class of Python with nothing of its own in the making of its objects: what it derives from says
// what happens.
bool isOfEffectFreeBase(PyObject *callee) {
  if (!PyType_Check(callee))
    return false;
  auto *type = reinterpret_cast<PyTypeObject *>(callee);
  if (Py_TYPE(callee)->tp_call != PyType_Type.tp_call)
    return false;
  while (type && type->tp_flags & Py_TPFLAGS_HEAPTYPE) {
    for (const char *name : {"__init__", "__new__"})
      if (PyDict_GetItemString(type->tp_dict, name))
        return false;
    type = type->tp_base;
  }
  return type && isEffectFree(reinterpret_cast<PyObject *>(type));
}

std::vector<PyRef *> pointersTo(CallArguments &arguments) {
  std::vector<PyRef *> pointers;
  for (PyRef &argument : arguments.positional)
    pointers.push_back(&argument);
  for (auto &[name, argument] : arguments.keywords)
    pointers.push_back(&argument);
  return pointers;
}

// C functions that call what they are given, or hand out what does.
bool callsBack(PyObject *callee) {
  std::string owner = ownerOf(callee);
  return owner == "itertools" || owner == "_functools" || owner == "re.Pattern" ||
         callee == PyDict_GetItemString(PyEval_GetBuiltins(), "iter");
}

bool isPythonCallable(PyObject *object) {
  return PyFunction_Check(object) || PyMethod_Check(object) ||
         std::string_view(Py_TYPE(object)->tp_name) == "functools.partial";
}

// Functions, methods and what else of C's types says what to do and holds nothing that changes.
bool isCode(PyObject *object) {
  for (PyTypeObject *type :
       {&PyFunction_Type, &PyMethod_Type, &PyCFunction_Type, &PyMethodDescr_Type,
        &PyWrapperDescr_Type, &_PyMethodWrapper_Type, &PyClassMethodDescr_Type, &PyGetSetDescr_Type,
        &PyMemberDescr_Type, &PyProperty_Type, &PyStaticMethod_Type, &PyClassMethod_Type,
        &PyCode_Type, &PySuper_Type})
    if (PyObject_TypeCheck(object, type))
      return true;
  return false;
}

// That has no code or attributes of its own.
bool isOrdinaryContainer(PyObject *container) {
  return !(Py_TYPE(container)->tp_flags & Py_TPFLAGS_HEAPTYPE);
}

} // namespace

PyRef Interpreter::callDirectly(PyObject *callee, const CallArguments &arguments) {
  FlatArguments flat(arguments);
  std::vector<PyRef> settledArguments;
  for (PyObject *argument : flat.values)
    refuseStackedIn(argument);
  for (PyObject *&argument : flat.values)
    if (pointerOf(argument)) {
      settledArguments.push_back(settled(argument));
      argument = settledArguments.back().get();
    }
  PyRef result = callC(callee, flat.values, [&] {
    return PyRef::steal(
        PyObject_Vectorcall(callee, flat.values.data(), flat.count, flat.names.get()));
  });
  rethrowRefusal();
  if (!result) {
    if (auto known = withKnownNumbers(arguments))
      return callDirectly(callee, *known);
    throw PythonError();
  }
  noteMade(result.get());
  return result;
}

// What C could not do with ints and bools of the graph it may do with what they are: the arguments
// of a call that has raised, with these. Nothing where that is not why.
std::optional<CallArguments> Interpreter::withKnownNumbers(CallArguments arguments) {
  bool isUnknown = PyErr_ExceptionMatches(PyExc_TypeError) ||
                   PyErr_ExceptionMatches(PyExc_ValueError) ||
                   PyErr_ExceptionMatches(PyExc_AttributeError);
  bool found = false;
  for (PyRef *argument : pointersTo(arguments))
    if (isUnknown && isGraphNumber(argument->get()) &&
        numberType(argument->get()) != &PyFloat_Type) {
      PyErr_Clear();
      *argument = knownNumber(argument->get());
      found = true;
    }
  return found ? std::optional(std::move(arguments)) : std::nullopt;
}

PyRef Interpreter::newInstance(PyTypeObject *cls, const CallArguments &arguments) {
  PyRef positional = tupleOf(arguments.positional), keywords = keywordDict(arguments.keywords);
  return checked(cls->tp_new(cls, positional.get(), keywords.get()));
}

PyRef Interpreter::callNative(PyObject *callee, CallArguments &arguments) {
  refuseHidden(callee, arguments);
  if (!isEffectFree(callee) && !isOfEffectFreeBase(callee)) {
    if (auto result = callOpaque(callee, arguments))
      return *result;
    throw UnknownEffects("calls " + nameOf(callee) + ", of which nothing is known");
  }
  refuseSetter(callee);
  if (callsBack(callee))
    for (PyRef *argument : pointersTo(arguments))
      if (isPythonCallable(argument->get()))
        *argument = wrapCallable(argument->get());
  PyRef result = callReading(callee, arguments);
  readAnswerOfTorch(callee, arguments, result.get());
  return result;
}

PyRef Interpreter::callReading(PyObject *callee, CallArguments &arguments) {
  std::vector<PyRef> ofProgram;
  for (PyRef *argument : pointersTo(arguments))
    readArgument(argument->get(), ofProgram);
  return callWatched(nameOf(callee), ofProgram, [&] { return callDirectly(callee, arguments); });
}

// All that code without source reaches is watched, and has no effects.
void Interpreter::readReached(PyObject *function, const CallArguments &arguments) {
  static PyRef module = checked(PyImport_ImportModule("bifront._unwalked"));
  for (const PyRef &argument : arguments.positional)
    if (isMine(argument.get()))
      dictOf(argument.get()); // is the call's as well
  PyRef positional = tupleOf(arguments.positional);
  PyRef places =
      PyRef::steal(PyObject_CallMethod(module.get(), "reached", "OO", function, positional.get()));
  if (!places) // not the program's to catch
    throw UnknownEffects(describeException(takeException().get()));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(places.get()); ++i)
    readPlace(PyList_GET_ITEM(places.get(), i));
}

// CPython runs the function, as it is: what it reaches must stay as it is, and it must leave that
// so.
PyRef Interpreter::callUnwalked(PyObject *callee, CallArguments &arguments) {
  std::vector<PyRef> reached{PyRef::share(callee)};
  std::vector<PyObject *> mine; // the dicts of objects that the call has made
  for (const PyRef *argument : pointersTo(arguments)) {
    reached.push_back(*argument);
    PyObject *dict = isMine(argument->get()) ? dictOf(argument->get()) : nullptr;
    if (dict)
      mine.push_back(dict);
  }
  PyRef result =
      callWatched(nameOf(callee), reached, [&] { return callDirectly(callee, arguments); }, true);
  PyObject *name = nullptr, *value = nullptr;
  for (PyObject *dict : mine)
    for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &name, &value);)
      noteMade(value);
  return result;
}

// What the call has made may change unseen: it is made as it is then. But not in a way of a branch,
// which is taken back.
bool Interpreter::isMine(PyObject *object) const {
  return forks_.empty() ? log_.isFresh(object) : log_.isFreshSince(forks_.back().mark, object);
}

PyRef Interpreter::callWatched(const std::string &name, const std::vector<PyRef> &ofProgram,
                               const std::function<PyRef()> &call, bool fills) {
  if (ofProgram.empty())
    return call();
  PyRef places = watch(tupleOf(ofProgram).get());
  PyRef others = checked(PyList_New(0));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(places.get()); ++i) {
    PyObject *place = PyList_GET_ITEM(places.get(), i);
    checkNotStacked(place); // also where it is reached by an object
    if (!fills || !isMine(PyTuple_Check(place) ? PyTuple_GET_ITEM(place, 0) : place))
      checked(PyList_Append(others.get(), place));
  }
  PyRef result = host_.unchanged(others.get(), call);
  if (!result)
    throw CannotInterpret(name + ", which is not walked, changes Python values");
  return result;
}

PyRef Interpreter::natively(const char *what, std::initializer_list<PyObject *> values,
                            const std::function<PyRef()> &call) {
  std::vector<PyRef> ofProgram;
  for (PyObject *value : values)
    readArgument(value, ofProgram);
  return callWatched(what, ofProgram, call);
}

namespace {

// Of a class of Python whose objects are equal to themselves alone.
bool isEqualToItselfAlone(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  return (type->tp_flags & Py_TPFLAGS_HEAPTYPE) &&
         type->tp_richcompare == PyBaseObject_Type.tp_richcompare &&
         type->tp_hash == PyBaseObject_Type.tp_hash;
}

} // namespace

PyRef Interpreter::comparing(const char *what, PyObject *container, PyObject *value,
                             const std::function<PyRef()> &call) {
  std::vector<PyRef> ofProgram;
  for (PyObject *argument : {container, value})
    readArgument(argument, ofProgram);
  std::erase_if(ofProgram, [&](const PyRef &object) {
    bool isCompared = object.get() != container && isEqualToItselfAlone(object.get());
    if (isCompared) { // by its class, and by nothing that it holds
      log_.readType(Py_TYPE(object.get()));
      log_.readTypeOf(object.get());
    }
    return isCompared;
  });
  return callWatched(what, ofProgram, call);
}

// Modes are put back behind a capture, and refused where they last. The others are only known by
// name, and so are hooks.
void Interpreter::refuseSetter(PyObject *function) {
  std::string name = attributeText(function, "__name__");
  bool sets = name.starts_with("set_") || name.starts_with("_set_");
  bool isOfRandom = name == "set_rng_state" && // a value of the graph
                    attributeText(function, "__module__") == "torch.random";
  bool isKept = name.ends_with("set_grad_enabled") || name.starts_with("set_autocast") ||
                name.ends_with("set_default_dtype") || name == "set_" || isOfRandom;
  if (sets && !isKept)
    throw CannotInterpret("calls " + nameOf(function) + ", which sets a mode of PyTorch");
  if (name.starts_with("register_") && name.ends_with("hook"))
    throw CannotInterpret("registers a hook");
}

//===- What calls read ---------------------------------------------------------------------===//

PyRef Interpreter::watch(PyObject *objects) {
  PyRef places;
  try {
    places = host_.reachable(Py_None, objects);
  } catch (const PythonError &) { // not the program's to catch
    throw UnknownEffects(describeException(takeException().get()));
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(places.get()); ++i)
    readPlace(PyList_GET_ITEM(places.get(), i));
  return places;
}

void Interpreter::noteAsked(PyObject *object) {
  if (object && isTensor(object) && !isProxyTensor(object))
    host_.recording->noteAsked(THPVariable_Unpack(object));
}

void Interpreter::noteAskedIn(PyObject *container) {
  PyRef items = plainIterator(container);
  while (PyRef item = PyRef::steal(PyIter_Next(items.get())))
    noteAsked(PyDict_Check(container)
                  ? checkedOrAbsent(PyDict_GetItemWithError(container, item.get()))
                  : item.get());
  if (PyErr_Occurred())
    throw PythonError();
}

// A place as bifront._reachable_state describes it.
void Interpreter::readPlace(PyObject *place) {
  if (PyCell_Check(place)) {
    noteAsked(PyCell_GET(place));
    log_.read(Slot::Kind::Cell, place, nullptr, PyCell_GET(place));
    return;
  }
  if (!PyTuple_Check(place)) {
    log_.readContainer(place);
    noteAskedIn(place);
    return;
  }
  PyObject *owner = PyTuple_GET_ITEM(place, 0), *names = PyTuple_GET_ITEM(place, 1);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
    PyObject *name = PyTuple_GET_ITEM(names, i);
    if (PyDict_Check(owner)) {
      PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(owner, name));
      noteAsked(value);
      log_.read(Slot::Kind::DictItem, owner, name, value);
      continue;
    }
    if (PyType_Check(owner)) {
      log_.readType(reinterpret_cast<PyTypeObject *>(owner));
      continue;
    }
    PyObject *member = typeAttribute(Py_TYPE(owner), name);
    PyRef value = PyRef::steal(PyObject_GenericGetAttr(owner, name));
    PyErr_Clear(); // not assigned
    noteAsked(value.get());
    log_.read(Slot::Kind::Member, owner, member, value.get());
  }
}

// C tells objects by their addresses, which a copy has not. The containers among copies are not
// told apart so.
void Interpreter::refuseCopy(PyObject *object) const {
  if (host_.isCopy && !isMutableContainer(object) && !PyTuple_Check(object) && host_.isCopy(object))
    throw CannotInterpret("C looks into an object that differs from call to call");
}

// What a C function sees of an argument: all of a container; objects of the program, whose methods
// it may call, are added to `ofProgram`.
void Interpreter::readArgument(PyObject *argument, std::vector<PyRef> &ofProgram, int depth) {
  constexpr int kDeepest = 4;
  if (isLater(argument)) // which C may take for something else
    throw CannotInterpret("a text or a number that the end of the run makes is looked at");
  if (stackedItems(argument))
    refuseStacked(argument);
  noteAsked(argument);
  if (isImmutable(argument) || isTensor(argument) || (depth == 0 && pointerOf(argument)))
    return;
  if (pointerOf(argument))
    throw CannotInterpret("C looks into an object that differs from call to call");
  refuseCopy(argument);
  refuseStream(argument);
  if (std::string_view(Py_TYPE(argument)->tp_name) == "decimal.Decimal")
    throw CannotInterpret("computes with decimal numbers, whose context is the thread's");
  if (!forks_.empty() && PyIter_Check(argument) && !log_.isFreshSince(forks_.back().mark, argument))
    throw CannotInterpret("an iterator from outside of a branch is used in it");
  if (callbackOf(argument))
    return;
  if (depth > kDeepest) {
    ofProgram.push_back(PyRef::share(argument));
    return;
  }
  if (PyTuple_Check(argument)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(argument); ++i)
      readArgument(PyTuple_GET_ITEM(argument, i), ofProgram, depth + 1);
    return;
  }
  if (isMutableContainer(argument)) {
    log_.readContainer(argument);
    if (PyList_Check(argument))
      for (Py_ssize_t i = 0; i < PyList_GET_SIZE(argument); ++i)
        readArgument(PyList_GET_ITEM(argument, i), ofProgram, depth + 1);
    PyObject *key = nullptr, *value = nullptr;
    for (Py_ssize_t at = 0; PyDict_Check(argument) && PyDict_Next(argument, &at, &key, &value);) {
      readArgument(key, ofProgram, depth + 1);
      readArgument(value, ofProgram, depth + 1);
    }
    if (isOrdinaryContainer(argument))
      return;
  } else if (PyType_Check(argument)) {
    log_.readType(reinterpret_cast<PyTypeObject *>(argument));
    return;
  } else if (PyDictViewSet_Check(argument) || PyDictValues_Check(argument)) {
    auto *view = reinterpret_cast<_PyDictViewObject *>(argument);
    readArgument(reinterpret_cast<PyObject *>(view->dv_dict), ofProgram, depth + 1);
    return;
  } else if (Py_IS_TYPE(argument, &PyDictProxy_Type)) {
    readArgument(mappingOf(argument).get(), ofProgram, depth + 1);
    return;
  }
  bool isOfPython = Py_TYPE(argument)->tp_flags & Py_TPFLAGS_HEAPTYPE;
  if (isOfPython || (!isCode(argument) && !log_.isFresh(argument)))
    ofProgram.push_back(PyRef::share(argument));
}

namespace {

// A class of Python whose objects are found in dicts and sets by code of its own.
bool hasOwnHash(PyObject *key) {
  PyTypeObject *type = Py_TYPE(key);
  if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE) || isTensor(key))
    return false;
  for (const char *name : {"__hash__", "__eq__"})
    if (PyObject *method = typeAttribute(type, name); method && PyFunction_Check(method))
      return true;
  return false;
}

} // namespace

void Interpreter::checkKey(PyObject *key) {
  if (isGraphNumber(key)) // keyOf
    return;
  if (PyTuple_Check(key))
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i)
      checkKey(PyTuple_GET_ITEM(key, i));
  refuseCopy(key);
  refuseStream(key);
  if (!hasOwnHash(key) || checkedKeys_.contains(key))
    return;
  // What its code does once it does at every look-up.
  callWatched("__hash__ of a key", {PyRef::share(key)}, [&] {
    if (PyObject_Hash(key) == -1)
      throw PythonError();
    return checked(PyObject_RichCompare(key, key, Py_EQ));
  });
  checkedKeys_.emplace(key, PyRef::share(key));
}

PyRef Interpreter::keyOf(PyObject *key) {
  checkKey(key);
  if (isGraphNumber(key))
    return knownNumber(key);
  bool hasNumbers = false;
  for (Py_ssize_t i = 0; PyTuple_CheckExact(key) && i < PyTuple_GET_SIZE(key); ++i)
    hasNumbers = hasNumbers || isGraphNumber(PyTuple_GET_ITEM(key, i)) ||
                 PyTuple_CheckExact(PyTuple_GET_ITEM(key, i));
  if (!hasNumbers)
    return PyRef::share(key);
  std::vector<PyRef> parts;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i)
    parts.push_back(keyOf(PyTuple_GET_ITEM(key, i)));
  return tupleOf(parts);
}

// What nobody else refers to, the call has made.
void Interpreter::noteMade(PyObject *value) {
  if (Py_REFCNT(value) != 1 || callbackOf(value) || isImmutable(value) || isTensor(value) ||
      PyType_Check(value))
    return;
  log_.noteFresh(value); // which refers to it as well
  if (PyList_CheckExact(value) || PyTuple_Check(value))
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i)
      noteMade(PySequence_Fast_GET_ITEM(value, i));
  if (PyDict_CheckExact(value)) {
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);)
      noteMade(item);
  }
}

//===- Functions that C calls --------------------------------------------------------------===//

namespace {

class WalkedFunction final : public Callback {
public:
  using Call = std::function<PyRef(CallArguments)>;
  explicit WalkedFunction(Call call) : call_(std::move(call)) {}
  PyObject *call(PyObject *arguments, PyObject *keywords) override {
    CallArguments all;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments); ++i)
      all.positional.push_back(PyRef::share(PyTuple_GET_ITEM(arguments, i)));
    PyObject *name, *value;
    for (Py_ssize_t at = 0; keywords && PyDict_Next(keywords, &at, &name, &value);)
      all.keywords.emplace_back(PyRef::share(name), PyRef::share(value));
    return call_(std::move(all)).release();
  }

private:
  Call call_;
};

} // namespace

PyRef Interpreter::wrapCallable(PyObject *function) {
  if (PyType_Check(function) || PyCFunction_Check(function) || callbackOf(function))
    return PyRef::share(function);
  return wrapCall([this, target = PyRef::share(function)](CallArguments arguments) {
    return call(target.get(), std::move(arguments));
  });
}

PyRef Interpreter::wrapCall(std::function<PyRef(CallArguments)> call) {
  auto made = std::make_shared<WalkedFunction>(
      [this, call = std::move(call)](CallArguments arguments) -> PyRef {
        Walking walking(*this);
        try {
          return call(std::move(arguments));
        } catch (const PythonError &) {
          return {};
        } catch (...) {
          refuse(std::current_exception());
          return {};
        }
      });
  callbacks_.push_back(made);
  return checked(makeCallable(std::move(made)));
}

// C++ exceptions do not cross C: the refusal waits until the C function has returned.
void Interpreter::refuse(std::exception_ptr why) {
  if (!refusal_)
    refusal_ = std::move(why);
  PyErr_SetString(PyExc_RuntimeError, "the program cannot be captured");
}

void Interpreter::rethrowRefusal() {
  if (!refusal_)
    return;
  PyErr_Clear(); // ours
  std::rethrow_exception(refusal_);
}

} // namespace bifront
