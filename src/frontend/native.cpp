// Calls of C functions: what they read of Python's values is noted before they run. Nothing is
// called of which it is not known that it has no effects.
#include "frontend/callbacks.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace bifront {
namespace {

std::string textOf(PyObject *text) {
  const char *utf8 = text && PyUnicode_Check(text) ? PyUnicode_AsUTF8(text) : nullptr;
  return utf8 ? utf8 : "";
}

std::string attributeText(PyObject *object, const char *name) {
  PyRef value = PyRef::steal(PyObject_GetAttrString(object, name));
  PyErr_Clear(); // it need not have one
  return textOf(value.get());
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
    if (self && !PyModule_Check(self) && !PyCapsule_CheckExact(self))
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
                                                "_thread.RLock",
                                                "_thread.lock",
                                                "typing",
                                                "_typing",
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
  std::string owner = ownerOf(callee);
  if (owner == "builtins")
    return std::find(std::begin(functions), std::end(functions),
                     attributeText(callee, "__name__")) != std::end(functions);
  if (owner.starts_with("torch") || owner.starts_with("Tensor") || owner == "Parameter")
    return true;
  if (PyType_Check(callee) &&
      PyType_IsSubtype(reinterpret_cast<PyTypeObject *>(callee),
                       reinterpret_cast<PyTypeObject *>(PyExc_BaseException)))
    return true;
  return std::find(std::begin(owners), std::end(owners), owner) != std::end(owners);
}

std::string nameOf(PyObject *callee) {
  std::string name = attributeText(callee, "__qualname__");
  std::string module = attributeText(callee, "__module__");
  return (module.empty() ? "" : module + ".") + (name.empty() ? Py_TYPE(callee)->tp_name : name);
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

PyRef tupleOf(const std::vector<PyRef> &values) {
  PyRef tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
  for (size_t i = 0; i < values.size(); ++i)
    PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(values[i].get()));
  return tuple;
}

PyRef keywordDict(const std::vector<std::pair<PyRef, PyRef>> &items) {
  if (items.empty())
    return {};
  PyRef dict = checked(PyDict_New());
  for (const auto &[name, value] : items)
    checked(PyDict_SetItem(dict.get(), name.get(), value.get()));
  return dict;
}

} // namespace

PyRef Interpreter::callDirectly(PyObject *callee, const CallArguments &arguments) {
  FlatArguments flat(arguments);
  PyRef result =
      PyRef::steal(PyObject_Vectorcall(callee, flat.values.data(), flat.count, flat.names.get()));
  rethrowRefusal();
  if (!result)
    throw PythonError();
  noteMade(result.get());
  return result;
}

PyRef Interpreter::newInstance(PyTypeObject *cls, const CallArguments &arguments) {
  PyRef positional = tupleOf(arguments.positional), keywords = keywordDict(arguments.keywords);
  return checked(cls->tp_new(cls, positional.get(), keywords.get()));
}

PyRef Interpreter::callNative(PyObject *callee, CallArguments &arguments) {
  if (!isEffectFree(callee))
    throw CannotInterpret("calls " + nameOf(callee) + ", of which nothing is known");
  for (const PyRef &argument : arguments.positional)
    readArgument(argument.get(), 0);
  for (const auto &[name, argument] : arguments.keywords)
    readArgument(argument.get(), 0);
  return callDirectly(callee, arguments);
}

// CPython runs the function, as it is: what it reaches must stay as it is, and it must leave that
// so.
PyRef Interpreter::callUnwalked(PyObject *callee, CallArguments &arguments) {
  PyRef places = watch(callee, tupleOf(arguments.positional).get());
  for (const auto &[name, argument] : arguments.keywords)
    readArgument(argument.get(), 0);
  PyRef result = host_.unchanged(places.get(), [&] { return callDirectly(callee, arguments); });
  if (!result)
    throw CannotInterpret(nameOf(callee) + ", which is not walked, changes Python values");
  return result;
}

//===- What calls read ---------------------------------------------------------------------===//

PyRef Interpreter::watch(PyObject *function, PyObject *arguments) {
  PyRef places = host_.reachable(function, arguments);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(places.get()); ++i)
    readPlace(PyList_GET_ITEM(places.get(), i));
  return places;
}

// A place as bifront._reachable_state describes it.
void Interpreter::readPlace(PyObject *place) {
  if (PyCell_Check(place)) {
    log_.read(Slot::Kind::Cell, place, nullptr, PyCell_GET(place));
    return;
  }
  if (!PyTuple_Check(place)) {
    log_.readContainer(place);
    return;
  }
  PyObject *owner = PyTuple_GET_ITEM(place, 0), *names = PyTuple_GET_ITEM(place, 1);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
    PyObject *name = PyTuple_GET_ITEM(names, i);
    if (PyDict_Check(owner)) {
      log_.read(Slot::Kind::DictItem, owner, name,
                checkedOrAbsent(PyDict_GetItemWithError(owner, name)));
      continue;
    }
    PyObject *member = typeAttribute(Py_TYPE(owner), name);
    PyRef value = PyRef::steal(PyObject_GenericGetAttr(owner, name));
    PyErr_Clear(); // not assigned
    log_.read(Slot::Kind::Member, owner, member, value.get());
  }
}

// What a C function sees of an argument: all of a container, and of the program's objects whatever
// their methods reach.
void Interpreter::readArgument(PyObject *argument, int depth) {
  constexpr int kDeepest = 4;
  if (isImmutable(argument) || isTensor(argument) || depth > kDeepest)
    return;
  if (!forks_.empty() && PyIter_Check(argument) && !log_.isFreshSince(forks_.back().mark, argument))
    throw CannotInterpret("an iterator from outside of a branch is used in it");
  if (PyTuple_Check(argument)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(argument); ++i)
      readArgument(PyTuple_GET_ITEM(argument, i), depth + 1);
    return;
  }
  if (isMutableContainer(argument)) {
    log_.readContainer(argument);
    if (!PyList_Check(argument) && !PyDict_Check(argument))
      return;
    PyRef items =
        PyDict_Check(argument) ? checked(PyDict_Values(argument)) : PyRef::share(argument);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i)
      readArgument(PyList_GET_ITEM(items.get(), i), depth + 1);
    return;
  }
  if (PyType_Check(argument)) {
    log_.readType(reinterpret_cast<PyTypeObject *>(argument));
    return;
  }
  if (PyDictViewSet_Check(argument) || PyDictValues_Check(argument)) {
    PyRef mapping = checked(PyObject_GetAttrString(argument, "mapping"));
    log_.readContainer(mapping.get());
    return;
  }
  if (Py_TYPE(argument)->tp_flags & Py_TPFLAGS_HEAPTYPE && !callbackOf(argument))
    watch(Py_None, tupleOf({PyRef::share(argument)}).get());
}

void Interpreter::noteMade(PyObject *value) {
  if (Py_REFCNT(value) == 1 && !isImmutable(value) && !isTensor(value) && !PyType_Check(value))
    log_.noteFresh(value);
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
  PyRef target = PyRef::share(function);
  PyRef wrapped = checked(makeCallable(
      std::make_shared<WalkedFunction>([this, target](CallArguments arguments) -> PyRef {
        try {
          return call(target.get(), std::move(arguments));
        } catch (const PythonError &) {
          return {};
        } catch (...) {
          refuse(std::current_exception());
          return {};
        }
      })));
  callbacks_.push_back(wrapped);
  return wrapped;
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
