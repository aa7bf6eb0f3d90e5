// Attributes that the program sets of objects that only the run of the graph knows, and objects of
// the same classes that it makes: the run keeps what is written until its commit
// (docs/decisions/028-writes-to-objects-of-the-run.md).
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/pointers.h"

#include "capture/dispatch_mode.h"
#include "capture/proxy.h"
#include "capture/symbolic.h"
#include "support/plain_constant.h"
#include "support/python_call.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

PyObject *asObject(PyTypeObject *type) { return reinterpret_cast<PyObject *>(type); }

// To set an attribute that is no property runs none of the program's code.
bool hasOrdinaryWrites(PyTypeObject *type) {
  return type->tp_setattro == PyObject_GenericSetAttr && hasOrdinaryLookup(type) &&
         type->tp_flags & Py_TPFLAGS_HEAPTYPE;
}

// Ordinary tensors as the run will write them, for the lanes.
PyRef exampleLike(const ProxyImpl::Shape &shape) {
  CaptureMode::Pause notTheProgram;
  const Extent &extent = shape.in(0);
  return checked(THPVariable_Wrap(
      at::zeros(extent.sizes, at::TensorOptions().dtype(extent.dtype).device(shape.device))));
}

Example always(PyRef value) {
  return [value = std::move(value)](const Activation &) { return value; };
}

PyObject *nameIn(const Slot &slot) {
  if (slot.kind == Slot::Kind::Member)
    return PyDescr_NAME(slot.key.get());
  return slot.kind == Slot::Kind::DictItem ? slot.key.get() : nullptr;
}

// Whether the dict is that of an object of one of these classes.
bool isOfObject(PyObject *dict, const std::set<PyTypeObject *> &classes) {
  PyRef gc = checked(PyImport_ImportModule("gc"));
  PyRef owners = checked(PyObject_CallMethod(gc.get(), "get_referrers", "O", dict));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(owners.get()); ++i)
    if (classes.contains(Py_TYPE(PyList_GET_ITEM(owners.get(), i))))
      return true;
  return false;
}

// What the `__init__` that `dataclass` has written for a class sets, by name and in order; nothing
// where it does more than that, or is another.
std::optional<std::vector<std::pair<PyRef, PyRef>>>
fieldsSetBy(PyTypeObject *cls, PyObject *init, PyObject *self, const CallArguments &arguments) {
  PyObject *fields = PyDict_GetItemString(cls->tp_dict, "__dataclass_fields__");
  auto *code = reinterpret_cast<PyCodeObject *>(PyFunction_GET_CODE(init));
  bool isWritten = fields && PyDict_GetItemString(cls->tp_dict, "__init__") == init &&
                   PyUnicode_CompareWithASCIIString(code->co_filename, "<string>") == 0;
  if (!isWritten || typeAttribute(cls, "__post_init__"))
    return std::nullopt;
  std::vector<PyRef> given = arguments.positional;
  given.insert(given.begin(), PyRef::share(self));
  PyRef positional = tupleOf(given), keywords = keywordDict(arguments.keywords);
  PyRef inspect = checked(PyImport_ImportModule("inspect"));
  PyRef signature = checked(PyObject_CallMethod(inspect.get(), "signature", "O", init));
  PyRef bind = checked(PyObject_GetAttrString(signature.get(), "bind"));
  PyRef bound = checked(PyObject_Call(bind.get(), positional.get(), keywords.get()));
  checked(PyObject_CallMethod(bound.get(), "apply_defaults", nullptr));
  PyRef values = checked(PyObject_GetAttrString(bound.get(), "arguments"));
  std::vector<std::pair<PyRef, PyRef>> set;
  PyObject *name = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(values.get(), &at, &name, &value);)
    if (value != self) {
      PyObject *field = PyDict_GetItemWithError(fields, name);
      PyRef factory = field ? checked(PyObject_GetAttrString(field, "default_factory")) : PyRef();
      PyRef kind = field ? checked(PyObject_GetAttrString(field, "_field_type")) : PyRef();
      PyRef missing = checked(PyObject_GetAttrString(PyImport_AddModule("dataclasses"), "MISSING"));
      PyRef plain = checked(PyObject_GetAttrString(PyImport_AddModule("dataclasses"), "_FIELD"));
      if (factory.get() != missing.get() || kind.get() != plain.get())
        return std::nullopt;
      set.emplace_back(PyRef::share(name), PyRef::share(value));
    }
  bool all = static_cast<Py_ssize_t>(set.size()) == PyDict_GET_SIZE(fields);
  return all ? std::optional(std::move(set)) : std::nullopt;
}

} // namespace

//===- Attributes --------------------------------------------------------------------------===//

void Interpreter::setPointerAttribute(PyObject *pointer, PyObject *name, PyObject *value) {
  refuseChoice(pointer);
  ValueId object = *pointerOf(pointer);
  PyTypeObject *type = classOf(object);
  auto refuse = [&](const std::string &why) {
    throw CannotInterpret("an attribute of a " + std::string(type->tp_name) +
                          " that differs from call to call is " + why);
  };
  if (!host_.attributeWriter || opaque_.find(object) || !hasOrdinaryWrites(type) ||
      !PyUnicode_CheckExact(name))
    refuse("set");
  if (!value)
    refuse("deleted");
  PyObject *descriptor = typeAttribute(type, name);
  if (descriptor && Py_IS_TYPE(descriptor, &PyProperty_Type)) {
    PyRef set = checked(PyObject_GetAttrString(descriptor, "fset"));
    if (set.get() == Py_None)
      refuse("set, which is a property");
    assertClasses(object, {type});
    CallArguments arguments;
    arguments.positional = {PyRef::share(pointer), PyRef::share(value)};
    call(set.get(), std::move(arguments));
    return;
  }
  bool isMember = descriptor && Py_IS_TYPE(descriptor, &PyMemberDescr_Type);
  if (!isMember && ((descriptor && Py_TYPE(descriptor)->tp_descr_set) || !type->tp_dictoffset))
    refuse("set");
  assertClasses(object, {type});
  readClasses_.insert(type);
  const at::Tensor *tensor = tensorToWrite(value);
  if (!tensor) {
    ValueId written = objectToWrite(value);
    bool isOfGraph = pointerOf(value) || isGraphNumber(value) || isTensor(value);
    Example example = isOfGraph ? lanes_.of(written) : always(PyRef::share(value));
    writeInRun(object, name, written);
    noteWritten(object, name, example);
    return;
  }
  // From here on it is the tensor that the attribute has.
  ProxyImpl *proxy = ProxyImpl::of(*tensor);
  ProxyImpl::Shape shape = proxy->shape();
  Example example = always(exampleLike(shape));
  auto recording = host_.recording->shared_from_this();
  ValueId written = writeInRun(object, name, proxy->value());
  ValueId unboxed = recording->graph().unbox(written, ValueType::ofTensor(shape.type()));
  recording->noteMerged(unboxed);
  recording->noteMemory(unboxed, Recording::Memory::Found);
  objects_[unboxed] = written;
  lanes_.note(written, example);
  proxy->become(unboxed, std::move(shape));
  noteWritten(object, name, example);
}

// Gives the value as an object: of a tensor a copy, of a number one that is made for it.
ValueId Interpreter::writeInRun(ValueId object, PyObject *name, ValueId value) {
  writtenByRuns_.insert(name);
  ValueId operands[] = {object, host_.recording->heldObject(name), value};
  return host_.recording->graph().callPython(
      kWriteCall, host_.recording->heldObject(host_.attributeWriter), operands, {}, "");
}

// What is no tensor that the graph has made.
ValueId Interpreter::objectToWrite(PyObject *value) const {
  refuseChoice(value);
  auto pointer = pointerOf(value);
  if (pointer && !opaque_.find(*pointer))
    return *pointer;
  if (isGraphNumber(value))
    return SymbolicScalar::of(symbolicNumber(value))->value();
  if (isTensor(value))
    if (ProxyImpl *proxy = ProxyImpl::of(THPVariable_Unpack(value)))
      if (auto found = objects_.find(proxy->value()); found != objects_.end())
        return found->second;
  bool isOfClass = Py_TYPE(value)->tp_flags & Py_TPFLAGS_HEAPTYPE && !isTensor(value);
  bool isKnown = isOfClass && !PyType_Check(value) && !log_.isFresh(value) && !pointer &&
                 !(host_.isCopy && host_.isCopy(value)) &&
                 !(host_.isReplaced && host_.isReplaced(value));
  if (!isPlainConstant(value) && !isKnown)
    throw CannotInterpret(std::string("a ") + Py_TYPE(value)->tp_name +
                          " is put into an object that differs from call to call");
  return host_.recording->heldObject(value);
}

// The tensor, where the run has to make an object of it; null for what is one. It is then this
// object by all of its names: so there is nobody who could write it.
const at::Tensor *Interpreter::tensorToWrite(PyObject *value) const {
  if (!isTensor(value))
    return nullptr;
  const at::Tensor &tensor = THPVariable_Unpack(value);
  ProxyImpl *proxy = ProxyImpl::of(tensor);
  if (!proxy)
    return nullptr;
  const Recording &recording = *host_.recording;
  ValueId made = proxy->value();
  if (objects_.contains(made))
    return nullptr;
  const ProxyImpl::Shape &shape = proxy->shape();
  if (!isExactTensor(value) || c10::InferenceMode::is_enabled() || tensor.requires_grad() ||
      shape.dynamic || !shape.in(0).isContiguous() || tensor.is_view() ||
      !recording.isAlone(made) || recording.memoryOf(made) != Recording::Memory::Own ||
      recording.isMerged(made) || !recording.isOfScope(tensor))
    throw CannotInterpret("a tensor that differs in kind is put into an object that differs from "
                          "call to call");
  return &tensor;
}

void Interpreter::noteWritten(ValueId object, PyObject *name, const Example &value) {
  Example of = lanes_.of(object);
  for (const Activation *lane : lanes_.active())
    if (PyRef at = of ? of(*lane) : PyRef())
      written_->note(at, PyRef::share(name), value ? value(*lane) : PyRef());
}

// Whether it has read an attribute by another name of an object than that by which runs write it,
// or runs make calls that would.
bool Interpreter::readsWhatRunsWrite(const PythonEffects &effects) const {
  auto isWritten = [&](const Slot &slot) {
    PyObject *name = nameIn(slot);
    return name && PyUnicode_Check(name) &&
           std::any_of(writtenByRuns_.begin(), writtenByRuns_.end(),
                       [&](PyObject *written) { return PyUnicode_Compare(written, name) == 0; });
  };
  if (writtenByRuns_.empty())
    return false;
  return !reachedByCalls_.empty() ||
         std::any_of(effects.reads.begin(), effects.reads.end(),
                     [&](const PythonRead &read) {
                       PyObject *object = read.slot.object.get();
                       bool isDict =
                           read.kind == PythonRead::Kind::Container && PyDict_Check(object);
                       return read.kind == PythonRead::Kind::Slot
                                  ? isWritten(read.slot)
                                  : isDict && isOfObject(object, readClasses_);
                     }) ||
         std::any_of(effects.inputs.begin(), effects.inputs.end(), [&](const SlotInput &input) {
           return !unseenInputs_.contains(input.input) && isWritten(input.slot);
         });
}

//===- Objects -----------------------------------------------------------------------------===//

// Whether such an object is to be one that branches, loops and functions of the graph hand on, and
// that objects of the run refer to.
bool Interpreter::isMadeInRun(PyTypeObject *cls, const CallArguments &arguments) const {
  constexpr unsigned long kAbstract = Py_TPFLAGS_IS_ABSTRACT;
  if (!host_.policies || !host_.attributeWriter || !readClasses_.contains(cls) ||
      policyOf(cls) == Policy::OneWay || cls->tp_new != PyBaseObject_Type.tp_new ||
      !hasOrdinaryWrites(cls) || cls->tp_flags & kAbstract)
    return false;
  auto isPointer = [](const PyRef &value) { return pointerOf(value.get()).has_value(); };
  return loopWalks_ > 0 || !functions_.empty() ||
         std::any_of(arguments.positional.begin(), arguments.positional.end(), isPointer) ||
         std::any_of(arguments.keywords.begin(), arguments.keywords.end(),
                     [&](const auto &argument) { return isPointer(argument.second); });
}

PyRef Interpreter::makeInRun(PyTypeObject *cls, CallArguments arguments) {
  static PyObject *create = PyObject_GetAttrString(asObject(&PyBaseObject_Type), "__new__");
  PyObject *init = typeAttribute(cls, "__init__");
  ValueId operands[] = {host_.recording->heldObject(asObject(cls))};
  ValueId made = host_.recording->graph().callPython(kMakeCall, host_.recording->heldObject(create),
                                                     operands, {}, "");
  PyRef nothing = checked(PyTuple_New(0));
  lanes_.note(made, always(checked(cls->tp_new(cls, nothing.get(), nullptr))));
  PyRef pointer = makePointer(made);
  if (!init || !PyFunction_Check(init))
    return pointer;
  try {
    if (auto fields = fieldsSetBy(cls, init, pointer.get(), arguments)) {
      log_.readTypeOf(init);
      for (const auto &[name, value] : *fields)
        setPointerAttribute(pointer.get(), name.get(), value.get());
      return pointer;
    }
    arguments.positional.insert(arguments.positional.begin(), pointer);
    if (call(init, std::move(arguments)).get() != Py_None)
      raise(PyExc_TypeError, "__init__() should return None");
  } catch (const CannotInterpret &why) { // the commit may make it
    throw CannotFork(cls, Policy::OneWay, why.what());
  }
  return pointer;
}

} // namespace bifront
