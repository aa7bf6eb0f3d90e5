// Callable objects of C that call the program's functions, or read its objects: what they do is
// walked in their place.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/walked_helpers.h"

#include "capture/symbolic.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <string_view>

namespace bifront {
namespace {

PyTypeObject *typeOf(const char *module, const char *name) {
  PyRef imported = PyRef::steal(PyImport_ImportModule(module));
  return reinterpret_cast<PyTypeObject *>(imported ? PyObject_GetAttrString(imported.get(), name)
                                                   : nullptr);
}

struct CallableTypes {
  PyTypeObject *partial = typeOf("functools", "partial");
  PyTypeObject *cached = typeOf("functools", "_lru_cache_wrapper");
  PyTypeObject *itemGetter = typeOf("operator", "itemgetter");
  PyTypeObject *attributeGetter = typeOf("operator", "attrgetter");
  PyTypeObject *methodCaller = typeOf("operator", "methodcaller");
  PyTypeObject *converted = typeOf("bifront._core", "ConvertedFunction");
};

const CallableTypes &types() {
  static const CallableTypes known;
  return known;
}

PyRef attributeOf(PyObject *object, const char *name) {
  return checked(PyObject_GetAttrString(object, name));
}

// How a getter of `operator` was made: its type, then a tuple of its arguments.
PyRef recipeOf(PyObject *getter) {
  return checked(PyObject_CallMethod(getter, "__reduce__", nullptr));
}

// What does something to a list that the walk can do as well, in Python; null for others.
const char *helperFor(PyObject *callee) {
  static constexpr const char *ofHeaps[] = {"_heapify_max", "_heappop_max", "_heapreplace_max",
                                            "heapify",      "heappop",      "heappush",
                                            "heappushpop",  "heapreplace"};
  if (!PyCFunction_Check(callee) || attributeText(callee, "__module__") != "_heapq")
    return nullptr;
  std::string name = attributeText(callee, "__name__");
  const auto *found = std::ranges::find(ofHeaps, name);
  return found == std::end(ofHeaps) ? nullptr : *found;
}

// A cache of the standard library's or of torch's own makes no difference but in time.
bool isCacheOfLibrary(PyObject *cached) {
  PyRef wrapped = attributeOf(cached, "__wrapped__");
  if (!PyFunction_Check(wrapped.get()))
    return false;
  PyObject *module =
      PyDict_GetItemString(PyFunction_GET_GLOBALS(wrapped.get()), "__name__"); // borrowed
  const char *text = module && PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : nullptr;
  if (!text)
    return false;
  std::string_view name = text;
  return name == "typing" || name == "re" || name == "torch" || name.starts_with("torch.");
}

} // namespace

// What `__call__` of C is to call: `function.__call__`, or `super().__call__` in a metaclass.
PyRef Interpreter::calledByWrapper(PyObject *wrapper, CallArguments &arguments) {
  auto isCall = [](PyObject *name) {
    return PyUnicode_CompareWithASCIIString(name, "__call__") == 0;
  };
  PyRef called;
  if (Py_IS_TYPE(wrapper, &PyWrapperDescr_Type) && isCall(PyDescr_NAME(wrapper)) &&
      !arguments.positional.empty()) {
    called = arguments.positional[0];
    arguments.positional.erase(arguments.positional.begin());
  } else if (Py_IS_TYPE(wrapper, &_PyMethodWrapper_Type) &&
             isCall(attributeOf(wrapper, "__name__").get())) {
    called = attributeOf(wrapper, "__self__");
  }
  if (called && !PyType_Check(called.get()) && hasWalkedMethod(called.get(), "__call__"))
    throw CannotInterpret("calls a __call__ of C past one of the program's");
  return called;
}

std::optional<PyRef> Interpreter::callOfCallable(PyObject *callee, CallArguments &arguments) {
  PyTypeObject *type = Py_TYPE(callee);
  if (PyRef called = calledByWrapper(callee, arguments))
    return PyType_Check(called.get())
               ? makeInstance(reinterpret_cast<PyTypeObject *>(called.get()), std::move(arguments))
               : call(called.get(), std::move(arguments));
  if (type == types().partial)
    return callPartial(callee, std::move(arguments));
  if (auto result = callOnHeap(callee, arguments))
    return result;
  if (auto result = callOfResizing(callee, arguments))
    return result;
  if (type == types().converted)
    return call(attributeOf(callee, "__wrapped__").get(), std::move(arguments));
  if (type == types().cached && isCacheOfLibrary(callee))
    return callDirectly(callee, arguments);
  bool gets =
      type == types().itemGetter || type == types().attributeGetter || type == types().methodCaller;
  if (!gets || arguments.positional.size() != 1 || !arguments.keywords.empty())
    return std::nullopt;
  PyObject *object = arguments.positional[0].get();
  PyRef recipe = recipeOf(callee);
  if (type == types().methodCaller)
    return callMethodCaller(recipe.get(), object);
  PyObject *keys = PyTuple_GET_ITEM(recipe.get(), 1);
  auto get = [&](PyObject *key) {
    return type == types().itemGetter ? item(object, key) : attributeByPath(object, key);
  };
  if (PyTuple_GET_SIZE(keys) == 1)
    return get(PyTuple_GET_ITEM(keys, 0));
  PyRef result = checked(PyTuple_New(PyTuple_GET_SIZE(keys)));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keys); ++i)
    PyTuple_SET_ITEM(result.get(), i, get(PyTuple_GET_ITEM(keys, i)).release());
  return result;
}

// A heap that the call has made: what C does to others may be an opaque call.
std::optional<PyRef> Interpreter::callOnHeap(PyObject *callee, CallArguments &arguments) {
  const char *helper = helperFor(callee);
  if (!helper || !arguments.keywords.empty() || arguments.positional.empty() ||
      !PyList_CheckExact(arguments.positional[0].get()) ||
      !log_.isFresh(arguments.positional[0].get()))
    return std::nullopt;
  std::string_view name = helper;
  bool takesItem =
      name.find("push") != std::string_view::npos || name.find("replace") != std::string_view::npos;
  if (arguments.positional.size() != (takesItem ? 2U : 1U))
    return std::nullopt; // CPython raises
  return call(walkedHelper(helper).get(), std::move(arguments));
}

PyRef Interpreter::callPartial(PyObject *partial, CallArguments arguments) {
  PyRef function = attributeOf(partial, "func"), first = attributeOf(partial, "args"),
        named = attributeOf(partial, "keywords");
  CallArguments all;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(first.get()); ++i)
    all.positional.push_back(PyRef::share(PyTuple_GET_ITEM(first.get(), i)));
  for (PyRef &argument : arguments.positional)
    all.positional.push_back(std::move(argument));
  log_.noteFreshWith(partial, named.get());
  log_.readContainer(named.get());
  PyObject *name = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(named.get(), &at, &name, &value);)
    all.keywords.emplace_back(PyRef::share(name), PyRef::share(value));
  for (auto &[given, argument] : arguments.keywords) {
    auto known = std::find_if(all.keywords.begin(), all.keywords.end(), [&](const auto &keyword) {
      return PyUnicode_Compare(keyword.first.get(), given.get()) == 0;
    });
    if (known == all.keywords.end())
      all.keywords.emplace_back(given, argument);
    else
      known->second = argument;
  }
  return call(function.get(), std::move(all));
}

// `recipe`: (methodcaller, (name, *arguments)), or (partial(methodcaller, name, **keywords),
// arguments) where there are keywords.
PyRef Interpreter::callMethodCaller(PyObject *recipe, PyObject *object) {
  PyRef made = PyRef::share(PyTuple_GET_ITEM(recipe, 0));
  PyObject *given = PyTuple_GET_ITEM(recipe, 1);
  CallArguments arguments;
  PyRef name;
  Py_ssize_t first = 0;
  if (Py_TYPE(made.get()) == types().partial) {
    name = PyRef::share(PyTuple_GET_ITEM(attributeOf(made.get(), "args").get(), 0));
    PyRef keywords = attributeOf(made.get(), "keywords");
    PyObject *key = nullptr, *value = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(keywords.get(), &at, &key, &value);)
      arguments.keywords.emplace_back(PyRef::share(key), PyRef::share(value));
  } else {
    name = PyRef::share(PyTuple_GET_ITEM(given, first++));
  }
  for (; first < PyTuple_GET_SIZE(given); ++first)
    arguments.positional.push_back(PyRef::share(PyTuple_GET_ITEM(given, first)));
  return call(attribute(object, name.get()).get(), std::move(arguments));
}

// "weight.data" of attrgetter.
PyRef Interpreter::attributeByPath(PyObject *object, PyObject *path) {
  PyRef dot = checked(PyUnicode_FromString("."));
  PyRef names = checked(PyUnicode_Split(path, dot.get(), -1)), value = PyRef::share(object);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names.get()); ++i) {
    PyRef name = PyRef::share(PyList_GET_ITEM(names.get(), i));
    value = attribute(value.get(), name.get());
  }
  return value;
}

} // namespace bifront
