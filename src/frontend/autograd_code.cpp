// Python code that autograd calls: torch.autograd.Function and hooks. PyTorch's own C calls it on
// proxies, and finds the walk of that code in its place.
#include "frontend/callbacks.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include "capture/capture.h"

#include <torch/csrc/autograd/python_variable.h>

#include <set>
#include <string_view>
#include <thread>

namespace bifront {
namespace {

PyRef attributeOfModule(const char *module, const char *name) {
  PyRef imported = PyRef::steal(PyImport_ImportModule(module));
  return imported ? PyRef::steal(PyObject_GetAttrString(imported.get(), name)) : PyRef();
}

// Of a method, what it calls.
PyRef functionOf(const char *module, const char *cls, const char *name) {
  PyRef method = PyRef::steal(PyObject_GetAttrString(attributeOfModule(module, cls).get(), name));
  return method && PyMethod_Check(method.get()) ? PyRef::share(PyMethod_GET_FUNCTION(method.get()))
                                                : method;
}

struct AutogradTypes {
  PyObject *function = attributeOfModule("torch.autograd", "Function").release();
  PyObject *functionBase = attributeOfModule("torch._C", "_FunctionBase").release();
  PyObject *apply = functionOf("torch.autograd", "Function", "apply").release();
  PyObject *registerHook = functionOf("torch", "Tensor", "register_hook").release();
  PyObject *registerAccumulated =
      functionOf("torch", "Tensor", "register_post_accumulate_grad_hook").release();
  PyObject *handle = attributeOfModule("torch.utils.hooks", "RemovableHandle").release();
  PyObject *seed = attributeOfModule("torch", "manual_seed").release();
  PyObject *seedGraph = attributeOfModule("bifront._autograd", "seed_graph").release();
  PyObject *savesBy =
      functionOf("torch.autograd.graph", "saved_tensors_hooks", "__enter__").release();
  PyObject *pushSavedHooks =
      attributeOfModule("torch._C._autograd", "_push_saved_tensors_default_hooks").release();
  PyObject *bind = attributeOfModule("bifront._autograd", "bound_arguments").release();
  PyObject *subclass = attributeOfModule("bifront._autograd", "subclass").release();
};

const AutogradTypes &types() {
  static const AutogradTypes known;
  return known;
}

// Functions of torch.utils.checkpoint that look at devices and modes only.
bool isOfCheckpoint(PyObject *function) {
  static const std::set<PyObject *> known = [] {
    std::set<PyObject *> functions;
    for (const char *name : {"_infer_device_type", "_get_autocast_kwargs", "_get_device_module",
                             "check_backward_validity", "detach_variable", "get_device_states",
                             "_default_meta_extractor"})
      if (PyRef found = attributeOfModule("torch.utils.checkpoint", name))
        functions.insert(found.release());
    PyErr_Clear(); // what this version does not have
    return functions;
  }();
  return known.contains(function);
}

bool isOfModule(PyObject *function, const char *name) {
  PyObject *module = PyDict_GetItemString(PyFunction_GET_GLOBALS(function), "__name__");
  return module && PyUnicode_Check(module) && PyUnicode_CompareWithASCIIString(module, name) == 0;
}

// By name: the module takes long to import, and may not be imported.
bool isDynamoDisable(PyObject *function) {
  return isOfModule(function, "torch._dynamo.decorators") &&
         attributeText(function, "__name__") == "disable";
}

// What torch._disable_dynamo wraps, where that calls the program or keeps what it is given; and
// what torch.compile has wrapped, when it was first used, of the optimizers.
PyRef hiddenFromDynamo(PyObject *function) {
  if (isOfModule(function, "torch._dynamo.eval_frame")) {
    PyObject *attributes = reinterpret_cast<PyFunctionObject *>(function)->func_dict;
    PyObject *isDisabled =
        attributes ? PyDict_GetItemString(attributes, "_torchdynamo_disable") : nullptr;
    return isDisabled == Py_True
               ? checked(PyObject_GetAttrString(function, "_torchdynamo_orig_callable"))
               : PyRef();
  }
  if (!isOfModule(function, "torch._compile"))
    return {};
  bool isKnown = attributeText(function, "__module__") == "torch.utils.checkpoint" ||
                 attributeText(function, "__name__") == "add_param_group";
  return isKnown ? checked(PyObject_GetAttrString(function, "__wrapped__")) : PyRef();
}

bool isFunctionClass(PyObject *object) {
  return PyType_Check(object) &&
         PyType_IsSubtype(reinterpret_cast<PyTypeObject *>(object),
                          reinterpret_cast<PyTypeObject *>(types().functionBase));
}

bool isContext(PyObject *object) {
  return PyType_IsSubtype(Py_TYPE(object), reinterpret_cast<PyTypeObject *>(types().functionBase));
}

bool isOverridden(PyObject *cls, const char *method) {
  PyRef own = checked(PyObject_GetAttrString(cls, method));
  return own.get() != checked(PyObject_GetAttrString(types().function, method)).get();
}

} // namespace

//===- torch.autograd.Function -------------------------------------------------------------===//

// A class like `cls`, of which autograd calls the walk of what the program has written.
PyRef Interpreter::walkedFunction(PyObject *cls) {
  if (auto known = walkedFunctions_.find(cls); known != walkedFunctions_.end())
    return known->second.second;
  log_.readType(reinterpret_cast<PyTypeObject *>(cls));
  static PyObject *ordinary = typeAttribute(&PyBaseObject_Type, "__init_subclass__");
  if (typeAttribute(reinterpret_cast<PyTypeObject *>(cls), "__init_subclass__") != ordinary)
    throw CannotInterpret("a torch.autograd.Function has an __init_subclass__");
  PyRef methods = checked(PyDict_New());
  for (const char *name : {"forward", "setup_context", "backward", "vjp"}) {
    if (!isOverridden(cls, name))
      continue;
    PyRef method = checked(PyObject_GetAttrString(cls, name));
    // The context comes first, and is the call's own.
    PyRef walked = wrapCall([this, method](CallArguments arguments) {
      for (const PyRef &argument : arguments.positional)
        if (isContext(argument.get()))
          log_.noteFresh(argument.get());
      return call(method.get(), std::move(arguments));
    });
    checked(PyDict_SetItemString(methods.get(), name, walked.get()));
  }
  PyRef made = checked(PyObject_CallFunctionObjArgs(types().subclass, cls, methods.get(), nullptr));
  log_.noteFresh(made.get());
  PyRef contexts = checked(PyObject_GetAttrString(made.get(), "_backward_cls"));
  log_.noteFresh(contexts.get());
  walkedFunctions_.emplace(cls, std::pair(PyRef::share(cls), made));
  return made;
}

PyRef Interpreter::applyFunction(PyObject *cls, CallArguments arguments) {
  PyRef made = walkedFunction(cls);
  // As inspect and the functions of torch.autograd.Function call them: without the class.
  PyRef positional = tupleOf(arguments.positional), keywords = keywordDict(arguments.keywords);
  if (isOverridden(cls, "setup_context")) {
    PyRef forward = checked(PyObject_GetAttrString(cls, "forward"));
    if (!keywords)
      keywords = checked(PyDict_New());
    PyRef bound = checked(PyObject_CallFunctionObjArgs(types().bind, forward.get(),
                                                       positional.get(), keywords.get(), nullptr));
    positional = PyRef::share(PyTuple_GET_ITEM(bound.get(), 0));
    keywords = PyRef::share(PyTuple_GET_ITEM(bound.get(), 1));
  }
  PyRef descriptor = checked(PyObject_GetAttrString(types().functionBase, "__dict__"));
  descriptor =
      checked(PyObject_GetItem(descriptor.get(), checked(PyUnicode_FromString("apply")).get()));
  PyRef apply =
      checked(Py_TYPE(descriptor.get())->tp_descr_get(descriptor.get(), nullptr, made.get()));
  PyRef result = PyRef::steal(PyObject_Call(apply.get(), positional.get(), keywords.get()));
  rethrowRefusal();
  if (!result)
    throw PythonError();
  noteMade(result.get());
  return result;
}

// What `forward` and `backward` say to autograd by attributes of the context, which is C's.
bool Interpreter::setsContext(PyObject *object, PyObject *name, PyObject *value) {
  PyObject *descriptor = typeAttribute(Py_TYPE(object), name);
  if (!descriptor || !Py_IS_TYPE(descriptor, &PyGetSetDescr_Type) || !isContext(object))
    return false;
  if (!isMine(object))
    throw CannotInterpret("the context of a torch.autograd.Function from outside is changed");
  checked(value ? PyObject_SetAttr(object, name, value) : PyObject_DelAttr(object, name));
  return true;
}

//===- Hooks -------------------------------------------------------------------------------===//

// The next handle has the next number, in the program's run too.
PyRef Interpreter::registeredHook(const std::function<PyRef()> &registers) {
  host_.recording->refuseInScope("a hook is registered");
  PyRef name = checked(PyUnicode_InternFromString("next_id"));
  PyRef number = attribute(types().handle, name.get());
  PyRef before = checked(PyObject_GetAttr(types().handle, name.get()));
  // A number that only the run knows is no key.
  checked(
      PyObject_SetAttr(types().handle, name.get(), checked(PyLong_FromLong(numHandles_++)).get()));
  PyRef handle;
  try {
    handle = registers();
  } catch (...) {
    PyObject_SetAttr(types().handle, name.get(), before.get());
    throw;
  }
  checked(PyObject_SetAttr(types().handle, name.get(), before.get()));
  PyRef one = checked(PyLong_FromLong(1));
  setAttribute(types().handle, name.get(),
               binary(syntax::BinaryOp::Add, number.get(), one.get()).get());
  PyRef reference = checked(PyObject_GetAttrString(handle.get(), "hooks_dict_ref"));
  log_.noteFresh(checked(PyObject_CallNoArgs(reference.get())).get());
  noteMade(handle.get());
  return handle;
}

// Calls each as autograd does: what one returns, the next is given.
PyRef Interpreter::walkedHooks(PyObject *hooks) {
  auto thread = std::this_thread::get_id();
  return wrapCall([this, thread, hooks = PyRef::share(hooks)](CallArguments arguments) {
    if (std::this_thread::get_id() != thread)
      throw CannotInterpret("a hook is called on another thread");
    log_.readContainer(hooks.get());
    PyRef functions = checked(PyDict_Values(hooks.get()));
    bool isReplaced = false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(functions.get()); ++i) {
      PyRef result = call(PyList_GET_ITEM(functions.get(), i), arguments);
      if (result.get() == Py_None)
        continue;
      arguments.positional.at(0) = std::move(result);
      isReplaced = true;
    }
    return isReplaced ? arguments.positional.at(0) : PyRef::share(Py_None);
  });
}

// `with torch.autograd.graph.saved_tensors_hooks(...)`.
PyRef Interpreter::enterSavedHooks(PyObject *hooks) {
  host_.recording->refuseInScope("what autograd saves gets hooks");
  Capture::current()->noteSavedHooks();
  PyRef pack = attribute(hooks, checked(PyUnicode_InternFromString("pack_hook")).get());
  PyRef unpack = attribute(hooks, checked(PyUnicode_InternFromString("unpack_hook")).get());
  return checked(PyObject_CallFunctionObjArgs(types().pushSavedHooks,
                                              wrapCallable(pack.get()).get(),
                                              wrapCallable(unpack.get()).get(), nullptr));
}

//===- What the program calls --------------------------------------------------------------===//

std::optional<PyRef> Interpreter::callOfAutograd(PyObject *function, CallArguments &arguments) {
  if (arguments.positional.empty())
    return std::nullopt;
  PyObject *self = arguments.positional[0].get();
  if (function == types().seed && isGraphNumber(self) && arguments.positional.size() == 1)
    return checked(PyObject_CallOneArg(types().seedGraph, self));
  if (function == types().apply && isFunctionClass(self)) {
    PyRef cls = std::move(arguments.positional[0]);
    arguments.positional.erase(arguments.positional.begin());
    return applyFunction(cls.get(), std::move(arguments));
  }
  if (PyRef hidden = hiddenFromDynamo(function))
    return call(hidden.get(), std::move(arguments));
  if (isDynamoDisable(function) && PyFunction_Check(self) && arguments.keywords.empty())
    return PyRef::share(self); // it changes nothing but what a compiler does
  if (function == types().savesBy)
    return enterSavedHooks(self);
  if (isOfCheckpoint(function))
    return callDirectly(function, arguments);
  if (function != types().registerHook && function != types().registerAccumulated)
    return std::nullopt;
  if (!isProxyTensor(self) || Capture::current()->inputOf(THPVariable_Unpack(self)))
    throw CannotInterpret("a hook is registered on a tensor from outside");
  return registeredHook([&] { return callDirectly(function, arguments); });
}

// Methods of the context, which is the node of autograd's graph as well.
std::optional<PyRef> Interpreter::callOfContext(PyObject *self, std::string_view name,
                                                CallArguments &arguments) {
  if (!isContext(self) || (name != "name" && !name.starts_with("register_")))
    return std::nullopt;
  PyRef first = std::move(arguments.positional[0]);
  arguments.positional.erase(arguments.positional.begin());
  PyRef method = checked(PyObject_GetAttrString(self, std::string(name).c_str()));
  if (name == "name")
    return callDirectly(method.get(), arguments);
  if (!isMine(self))
    throw CannotInterpret("a hook is registered on a node from outside");
  return registeredHook([&] { return callDirectly(method.get(), arguments); });
}

} // namespace bifront
