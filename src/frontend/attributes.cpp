// Attributes, by CPython's rules: what a lookup goes past is read as well, so that a new attribute
// there is noticed.
#include "frontend/callbacks.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/number_arithmetic.h"
#include "frontend/output.h"
#include "frontend/pointers.h"
#include "frontend/walked_helpers.h"

#include "capture/capture.h"

namespace bifront {
namespace {

bool isMember(PyObject *descriptor) { return Py_IS_TYPE(descriptor, &PyMemberDescr_Type); }

bool isData(PyObject *descriptor) { return Py_TYPE(descriptor)->tp_descr_set != nullptr; }

bool isCachedProperty(PyObject *descriptor) {
  static PyObject *type = PyObject_GetAttrString(
      PyRef::steal(PyImport_ImportModule("functools")).get(), "cached_property");
  return reinterpret_cast<PyObject *>(Py_TYPE(descriptor)) == type &&
         checked(PyObject_GetAttrString(descriptor, "attrname")).get() != Py_None;
}

bool hasOwnLookup(PyObject *object) {
  return !Py_IS_TYPE(object, &PySuper_Type) && !PyType_Check(object) &&
         !hasOrdinaryLookup(Py_TYPE(object)) && hasWalkedMethod(object, "__getattribute__");
}

PyRef accessor(PyObject *property, const char *name) {
  PyRef function = checked(PyObject_GetAttrString(property, name));
  return function.get() == Py_None ? PyRef() : function;
}

// Each call asks whether an argument has attributes of its own, and what the graph has computed has
// none; what it has found anywhere else may have some.
void refuseFound(PyObject *tensor) {
  auto input = Capture::current()->inputOf(THPVariable_Unpack(tensor));
  bool isArgument =
      input && Capture::current()->inputs()[*input].kind == CapturedInput::Kind::Argument;
  if (isEitherTensor(tensor) || (input && !isArgument))
    throw CannotInterpret("an attribute is asked of a tensor that the run finds");
}

bool isDict(PyObject *name) { return PyUnicode_CompareWithASCIIString(name, "__dict__") == 0; }

} // namespace

PyObject *Interpreter::dictOf(PyObject *object) {
  if (Py_TYPE(object)->tp_dictoffset == 0)
    return nullptr;
  if (isProxyTensor(object))
    refuseFound(object);
  PyRef dict = checked(PyObject_GenericGetDict(object, nullptr)); // the object keeps it alive
  log_.noteFreshWith(object, dict.get());
  return dict.get();
}

PyRef Interpreter::bound(PyObject *descriptor, PyObject *object) {
  if (PyFunction_Check(descriptor))
    return checked(PyMethod_New(descriptor, object));
  if (isCachedProperty(descriptor))
    return call(walkedHelper("cached_value").get(),
                {{PyRef::share(descriptor), PyRef::share(object)}, {}});
  auto *type = reinterpret_cast<PyObject *>(Py_TYPE(object));
  if (auto value = callSpecial(descriptor, "__get__", {object, type}))
    return *value;
  if (auto get = Py_TYPE(descriptor)->tp_descr_get)
    return checked(get(descriptor, object, type));
  return PyRef::share(descriptor);
}

PyRef Interpreter::genericAttribute(PyObject *object, PyObject *name) {
  PyTypeObject *type = Py_TYPE(object);
  PyObject *descriptor = typeAttribute(type, name);
  log_.readType(type);
  log_.readTypeOf(object);
  if (descriptor && isData(descriptor)) {
    if (Py_IS_TYPE(descriptor, &PyGetSetDescr_Type) && isDict(name))
      if (PyObject *dict = dictOf(object)) {
        writtenClasses_.insert(type); // perhaps
        return PyRef::share(dict);
      }
    if (Py_IS_TYPE(descriptor, &PyProperty_Type)) {
      PyRef get = accessor(descriptor, "fget");
      CallArguments self;
      self.positional.push_back(PyRef::share(object));
      if (get)
        return call(get.get(), std::move(self));
    }
    if (!isMember(descriptor)) {
      PyRef value = bound(descriptor, object);
      if (PyDict_CheckExact(value.get()))
        dictOf(object); // which is made with the object
      else
        readComputed(descriptor, object, value.get());
      return value;
    }
    PyRef value =
        log_.valueNow({Slot::Kind::Member, PyRef::share(object), PyRef::share(descriptor)});
    if (value)
      return found(Slot::Kind::Member, object, descriptor, value.get());
    log_.read(Slot::Kind::Member, object, descriptor, nullptr);
    return bound(descriptor, object); // raises
  }
  if (PyObject *dict = dictOf(object)) {
    if (PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(dict, name)))
      return found(Slot::Kind::DictItem, dict, name, value);
    log_.read(Slot::Kind::DictItem, dict, name, nullptr);
  }
  return descriptor ? bound(descriptor, object) : PyRef();
}

PyRef Interpreter::attributeOrAbsent(PyObject *object, PyObject *name) {
  if (PyRef data = dataOf(object))
    return dataAttribute(object, data.get(), name);
  if (pointerOf(object))
    return pointerAttribute(object, name);
  if (isStandardStream(object))
    return methodOfStream(object, name);
  PyTypeObject *type = Py_TYPE(object);
  auto natively = [&] {
    PyRef value = PyRef::steal(PyObject_GetAttr(object, name));
    if (!value && !PyErr_ExceptionMatches(PyExc_AttributeError))
      throw PythonError();
    PyErr_Clear(); // not there
    return value;
  };
  PyObject *ofClass = PyModule_CheckExact(object) ? nullptr : typeAttribute(type, name);
  if (PyModule_Check(object) && ofClass && isData(ofClass)) // as torch.backends has them
    return genericAttribute(object, name);
  if (PyModule_Check(object)) {
    PyObject *dict = PyModule_GetDict(object);
    PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(dict, name));
    if (value && isStandardStream(value))
      return PyRef::share(value);
    if (value)
      return found(Slot::Kind::DictItem, dict, name, value);
    log_.read(Slot::Kind::DictItem, dict, name, nullptr);
    PyRef own = checked(PyUnicode_InternFromString("__getattr__"));
    PyObject *falls = checkedOrAbsent(PyDict_GetItemWithError(dict, own.get()));
    log_.read(Slot::Kind::DictItem, dict, own.get(), falls);
    if (!falls)
      return natively();
    try {
      return callWith(falls, PyRef::share(name));
    } catch (const PythonError &) {
      if (!PyErr_ExceptionMatches(PyExc_AttributeError))
        throw;
      PyErr_Clear(); // not there
      return {};
    }
  }
  if (PyType_Check(object)) {
    log_.readType(type);
    log_.readType(reinterpret_cast<PyTypeObject *>(object));
    PyObject *own = typeAttribute(reinterpret_cast<PyTypeObject *>(object), name);
    bool isOfMetaclass = ofClass && isData(ofClass);
    if (!isOfMetaclass && own && hasWalkedMethod(own, "__get__"))
      return *callSpecial(own, "__get__", {Py_None, object});
    PyRef value = natively();
    if (value && isOfMetaclass)
      readComputed(ofClass, object, value.get()); // its name
    return value;
  }
  if (isProxyTensor(object) && isDict(name))
    throw CannotInterpret("the `__dict__` of a tensor is looked at");
  if (isTensor(object) && ofClass) {
    refuseMaking(PyUnicode_AsUTF8(name));
    noteAsked(object);
    return Py_IS_TYPE(ofClass, &PyGetSetDescr_Type) ? letOthersRun({object}, natively) : natively();
  }
  if (isGraphNumber(object)) {
    if (PyRef value = attributeOfNumber(object, name))
      return value;
    if (!typeAttribute(numberType(object), name))
      return {};
    if (PyRef value = natively())
      return value;
    throw CannotInterpret(std::string("asks a number of the graph for ") + PyUnicode_AsUTF8(name));
  }
  if (callbackOf(object))
    return natively();
  if (Py_IS_TYPE(object, &PySuper_Type) || !hasOrdinaryLookup(type)) {
    if (!hasOwnLookup(object)) {
      PyRef value = natively();
      readOwnLookup(object, name, value.get());
      return value;
    }
    try {
      return attributeByOwnWay(object, name);
    } catch (const PythonError &) {
      if (!PyErr_ExceptionMatches(PyExc_AttributeError))
        throw;
      PyErr_Clear(); // not there
      return {};
    }
  }
  bool falls = hasWalkedMethod(object, "__getattr__") && !isTensor(object);
  try {
    if (PyRef value = genericAttribute(object, name))
      return value;
    if (falls)
      return *callSpecial(object, "__getattr__", {name});
  } catch (const PythonError &) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
      throw;
    PyErr_Clear(); // a property or __getattr__ says that there is none
    if (falls && !typeAttribute(type, name))
      return {};
    if (falls)
      return attributeByFallback(object, name);
  }
  return {};
}

// `__getattr__` behind a property that raised AttributeError.
PyRef Interpreter::attributeByFallback(PyObject *object, PyObject *name) {
  try {
    return *callSpecial(object, "__getattr__", {name});
  } catch (const PythonError &) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
      throw;
    PyErr_Clear(); // not there
    return {};
  }
}

// By a `__getattribute__` of the program's; `object.__getattribute__`, which it may call, is
// callOfObject's.
PyRef Interpreter::attributeByOwnWay(PyObject *object, PyObject *name) {
  bool falls = hasWalkedMethod(object, "__getattr__"); // asked when no exception is pending
  try {
    return *callSpecial(object, "__getattribute__", {name});
  } catch (const PythonError &) {
    if (!falls || !PyErr_ExceptionMatches(PyExc_AttributeError))
      throw;
    PyErr_Clear(); // which says what is there
    return *callSpecial(object, "__getattr__", {name});
  }
}

PyRef Interpreter::attribute(PyObject *object, PyObject *name) {
  if (!pointerOf(object) && hasOwnLookup(object))
    return attributeByOwnWay(object, name);
  if (PyRef value = attributeOrAbsent(object, name))
    return value;
  if (isGraphNumber(object)) {
    PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%U'",
                 numberType(object)->tp_name, name);
    throw PythonError();
  }
  // Raises in CPython's words, by its own lookup or by the program's `__getattr__`.
  if (hasWalkedMethod(object, "__getattr__") && !isTensor(object))
    return *callSpecial(object, "__getattr__", {name});
  PyRef value = PyRef::steal(PyObject_GetAttr(object, name));
  if (value)
    throw CannotInterpret("an attribute that was not there is");
  throw PythonError();
}

void Interpreter::setAttribute(PyObject *object, PyObject *name, PyObject *value) {
  if (pointerOf(object))
    return setPointerAttribute(object, name, value);
  if (value ? callSpecial(object, "__setattr__", {name, value})
            : callSpecial(object, "__delattr__", {name}))
    return;
  if (PyModule_Check(object)) {
    PyObject *descriptor = typeAttribute(Py_TYPE(object), name);
    if (descriptor && isData(descriptor))
      throw CannotInterpret("an attribute of a module's class is set");
    PyObject *dict = PyModule_GetDict(object);
    if (!value && !checkedOrAbsent(PyDict_GetItemWithError(dict, name)))
      checked(PyObject_DelAttr(object, name)); // raises
    log_.write(Slot::Kind::DictItem, dict, name, value);
  } else if (PyType_Check(object)) {
    setClassAttribute(object, name, value);
  } else if (isTensor(object) && !typeAttribute(Py_TYPE(object), name) && !isProxyTensor(object)) {
    setGenericAttribute(object, name, value);
  } else if (isTensor(object)) {
    if (!typeAttribute(Py_TYPE(object), name)) {
      static PyObject *const set = PyDict_GetItemString(PyBaseObject_Type.tp_dict, "__setattr__");
      if (!value)
        throw CannotInterpret("an attribute of a tensor is deleted");
      PyObject *arguments[] = {object, name, value};
      log_.mutate(dictOf(object), set, arguments, std::size(arguments), nullptr);
      return;
    }
    noteAsked(object); // it may be set to what it is in this call
    letOthersRun({object, value ? value : Py_None}, [&] {
      checked(value ? PyObject_SetAttr(object, name, value) : PyObject_DelAttr(object, name));
      return PyRef();
    });
  } else {
    setGenericAttribute(object, name, value);
  }
}

void Interpreter::setClassAttribute(PyObject *cls, PyObject *name, PyObject *value) {
  auto *type = reinterpret_cast<PyTypeObject *>(cls);
  PyObject *descriptor = typeAttribute(Py_TYPE(cls), name);
  bool isOrdinary = Py_TYPE(cls)->tp_setattro == PyType_Type.tp_setattro &&
                    type->tp_flags & Py_TPFLAGS_HEAPTYPE &&
                    !(type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE);
  // Put back, an attribute that was deleted would come last.
  if (!isOrdinary || !value || (descriptor && isData(descriptor)))
    throw CannotInterpret("an attribute of a class is set");
  writtenClasses_.insert(type);
  log_.readType(type);
  PyRef before = log_.valueNow({Slot::Kind::ClassItem, PyRef::share(cls), PyRef::share(name)});
  found(Slot::Kind::ClassItem, cls, name, before.get());
  log_.write(Slot::Kind::ClassItem, cls, name, value);
}

// `object.__class__ = cls`, where both classes are of Python: the walk goes on with an object of
// that class, and so does the program behind the run.
bool Interpreter::setsClass(PyObject *object, PyObject *descriptor, PyObject *cls) {
  static PyObject *const ofObject = PyDict_GetItemString(PyBaseObject_Type.tp_dict, "__class__");
  auto isOfPython = [](PyTypeObject *type) {
    return (type->tp_flags & Py_TPFLAGS_HEAPTYPE) && !(type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE);
  };
  if (descriptor != ofObject || !PyType_Check(cls) || !isOfPython(Py_TYPE(object)) ||
      !isOfPython(reinterpret_cast<PyTypeObject *>(cls)))
    return false;
  if (callbackOf(object) || (host_.isCopy && host_.isCopy(object)) ||
      PyExceptionInstance_Check(object))
    return false;
  log_.write(Slot::Kind::Member, object, descriptor, cls);
  return true;
}

void Interpreter::setGenericAttribute(PyObject *object, PyObject *name, PyObject *value) {
  PyTypeObject *type = Py_TYPE(object);
  if (!log_.isFresh(object))
    writtenClasses_.insert(type);
  PyObject *descriptor = typeAttribute(type, name);
  log_.readType(type);
  log_.readTypeOf(object);
  if (PyFunction_Check(object) && isMine(object)) { // as functools.wraps does
    checked(PyObject_GenericSetAttr(object, name, value));
    return;
  }
  if (setsContext(object, name, value))
    return;
  if (PyExceptionInstance_Check(object) && log_.isFresh(object) &&
      PyUnicode_CompareWithASCIIString(name, "__traceback__") == 0) { // as contextlib does
    checked(PyObject_GenericSetAttr(object, name, value));
    return;
  }
  if (descriptor && isData(descriptor)) {
    if (isMember(descriptor)) {
      log_.write(Slot::Kind::Member, object, descriptor, value);
      return;
    }
    if (value && setsClass(object, descriptor, value))
      return;
    if (value ? callSpecial(descriptor, "__set__", {object, value})
              : callSpecial(descriptor, "__delete__", {object}))
      return;
    if (!Py_IS_TYPE(descriptor, &PyProperty_Type))
      throw CannotInterpret(std::string("the attribute ") + PyUnicode_AsUTF8(name) + " of a " +
                            type->tp_name + " is set");
    if (PyRef set = accessor(descriptor, value ? "fset" : "fdel")) {
      CallArguments arguments;
      arguments.positional.push_back(PyRef::share(object));
      if (value)
        arguments.positional.push_back(PyRef::share(value));
      call(set.get(), std::move(arguments));
      return;
    }
  }
  PyObject *dict = descriptor && isData(descriptor) ? nullptr : dictOf(object);
  PyObject *before = dict ? checkedOrAbsent(PyDict_GetItemWithError(dict, name)) : nullptr;
  if (!dict || (!value && !before)) {
    checked(PyObject_GenericSetAttr(object, name, value)); // raises
    throw CannotInterpret(std::string("an attribute of a ") + type->tp_name + " is set");
  }
  if (!value)
    log_.read(Slot::Kind::DictItem, dict, name, before);
  log_.write(Slot::Kind::DictItem, dict, name, value);
}

} // namespace bifront
