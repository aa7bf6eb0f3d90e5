// What C says of state that has no place among Python's values: it is asked again before each run.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/private_values.h"

#include <algorithm>
#include <string_view>

namespace bifront {
namespace {

bool contains(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(
      parts, [&](std::string_view part) { return name.find(part) != std::string_view::npos; });
}

// A function that says what something is, by its name.
bool isQuestion(std::string_view name) {
  name.remove_prefix(std::min(name.find_first_not_of('_'), name.size()));
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"get_", "is_", "are_", "has_", "getattr", "hasattr"},
      [&](std::string_view word) { return name.starts_with(word); });
}

// Of what GlobalModes has, which the program may change for a while; and of who else converts the
// function, which nobody does.
bool isKnownAnswer(std::string_view name) {
  return contains(name,
                  {"grad_enabled", "autocast", "default_dtype", "inference_mode", "default_device",
                   "tracing", "scripting", "compiling", "torch_function", "privateuse"});
}

bool asksForModes(std::string_view name) {
  return contains(name, {"function_stack", "function_mode"});
}

// Whether a class of the program's tells what its instances are.
bool saysItself(PyObject *cls) {
  if (!hasWalkedMethod(cls, "__instancecheck__"))
    return false;
  PyObject *method = typeAttribute(Py_TYPE(cls), "__instancecheck__");
  std::string module = attributeText(method, "__module__");
  return module != "abc" && module != "typing" && !module.starts_with("torch");
}

} // namespace

void Interpreter::readAnswerOfTorch(PyObject *function, const CallArguments &arguments,
                                    PyObject *answer) {
  if (answer == Py_None || isTensor(answer))
    return; // as most calls
  std::string name = attributeText(function, "__name__");
  if (asksForModes(name)) { // the walk has none where the CPU is the default device, which is one
    static PyRef count = checked(PyObject_GetAttrString(
        checked(PyImport_ImportModule("torch._C")).get(), "_len_torch_function_stack"));
    log_.readAnswer(count.get(), tupleOf({}).get(),
                    checked(PyObject_CallNoArgs(count.get())).get());
    return;
  }
  if (!isPlain(answer) || !arguments.keywords.empty())
    return;
  auto isPlainArgument = [&](const PyRef &argument) {
    PyObject *object = argument.get(); // an object of C's may be asked about itself
    bool isAsked = &argument == &arguments.positional.front() && !isTensor(object) &&
                   !isMutableContainer(object) && !PyTuple_Check(object) && !log_.isFresh(object);
    return isPlain(object) || isAsked;
  };
  if (isQuestion(name) && !isKnownAnswer(name) &&
      std::ranges::all_of(arguments.positional, isPlainArgument))
    log_.readAnswer(function, tupleOf(arguments.positional).get(), answer);
}

// An attribute that C computes, of an object from before the call. A field of a named tuple is one
// of its items, which do not change.
void Interpreter::readComputed(PyObject *descriptor, PyObject *object, PyObject *value) {
  bool isItem = PyTuple_Check(object) &&
                std::string_view(Py_TYPE(descriptor)->tp_name) == "_collections._tuplegetter";
  if (isItem || hasWalkedMethod(descriptor, "__get__") ||
      Py_IS_TYPE(descriptor, &PyProperty_Type) || isTensor(object) || isImmutable(object) ||
      log_.isFresh(object) || isGraphNumber(value) || PyExceptionInstance_Check(object))
    return;
  PyRef again = checked(
      Py_TYPE(descriptor)
          ->tp_descr_get(descriptor, object, reinterpret_cast<PyObject *>(Py_TYPE(object))));
  if (again.get() == value || isPlainNest(value))
    log_.readAnswer(descriptor, object, value);
  else if (!PyType_Check(object) && !PyFunction_Check(object))
    throw CannotInterpret(std::string("reads an attribute of a ") + Py_TYPE(object)->tp_name +
                          ", which is another object each time");
}

// An attribute of an object with a lookup of its own, in C. `value`: null: there is none.
void Interpreter::readOwnLookup(PyObject *object, PyObject *name, PyObject *value) {
  if (!value || Py_IS_TYPE(object, &PySuper_Type) || log_.isFresh(object) || isGraphNumber(value))
    return;
  watch(tupleOf({PyRef::share(object)}).get()); // of some nobody knows
  PyRef again = checked(PyObject_GetAttr(object, name));
  if (again.get() == value || isPlainNest(value))
    log_.readAnswer(builtinFunction("getattr"),
                    tupleOf({PyRef::share(object), PyRef::share(name)}).get(), value);
}

//===- Classes -----------------------------------------------------------------------------===//

// What the ABCs know of a class is asked anew when any class has been registered.
void Interpreter::readInstanceChecks(PyObject *cls) {
  if (PyTuple_Check(cls)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(cls); ++i)
      readInstanceChecks(PyTuple_GET_ITEM(cls, i));
    return;
  }
  static PyRef abc = checked(PyImport_ImportModule("abc"));
  static PyRef classes = checked(PyObject_GetAttrString(abc.get(), "ABCMeta")),
               token = checked(PyObject_GetAttrString(abc.get(), "get_cache_token"));
  if (PyType_IsSubtype(Py_TYPE(cls), reinterpret_cast<PyTypeObject *>(classes.get())))
    log_.readAnswer(token.get(), tupleOf({}).get(),
                    checked(PyObject_CallNoArgs(token.get())).get());
}

bool Interpreter::isInstance(PyObject *object, PyObject *cls) {
  if (PyTuple_Check(cls)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(cls); ++i)
      if (isInstance(object, PyTuple_GET_ITEM(cls, i)))
        return true;
    return false;
  }
  log_.readTypeOf(object);
  readInstanceChecks(cls);
  bool isExact = reinterpret_cast<PyObject *>(Py_TYPE(object)) == cls;
  if (!isExact && saysItself(cls))
    return truth(callSpecial(cls, "__instancecheck__", {object})->get());
  return checked(isInstanceOf(object, cls)) != 0;
}

//===- Hidden state ------------------------------------------------------------------------===//

// How a tensor was made, and what hangs on it, differs between tensors that graphs take as equal.
void Interpreter::refuseMaking(std::string_view question) {
  for (std::string_view hidden : {"_version", "_base", "_is_view", "output_nr", "retains_grad",
                                  "_backward_hooks", "is_inference"})
    if (question == hidden)
      throw CannotInterpret("asks for " + std::string(question) + " of a tensor");
}

void Interpreter::refuseHidden(PyObject *callee, const CallArguments &arguments) {
  if (!arguments.positional.empty() && isTensor(arguments.positional[0].get()) &&
      (PyCFunction_Check(callee) || Py_IS_TYPE(callee, &PyMethodDescr_Type)))
    refuseMaking(PyCFunction_Check(callee)
                     ? reinterpret_cast<PyCFunctionObject *>(callee)->m_ml->ml_name
                     : reinterpret_cast<PyMethodDescrObject *>(callee)->d_method->ml_name);
  if (PyWeakref_CheckRef(callee)) {
    PyObject *object = PyWeakref_GetObject(callee);
    if (object != Py_None && !log_.hasRead(object))
      throw CannotInterpret("asks a weak reference for an object that only that leads to");
  }
  PyObject *self = PyCFunction_Check(callee) ? PyCFunction_GET_SELF(callee)
                   : Py_IS_TYPE(callee, &PyMethodDescr_Type) && !arguments.positional.empty()
                       ? arguments.positional[0].get()
                       : nullptr;
  std::string_view type = self ? Py_TYPE(self)->tp_name : "";
  if (type == "_thread.lock" || type == "_thread.RLock")
    throw CannotInterpret("takes or asks a lock, which threads share");
}

} // namespace bifront
