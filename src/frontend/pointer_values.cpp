// What the program does with objects that only the run of the graph knows. What they are taken to
// be is what the lanes have seen (lanes.h), and the graph asserts it.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"

#include "capture/proxy.h"
#include "capture/symbolic.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

PyObject *asObject(PyTypeObject *type) { return reinterpret_cast<PyObject *>(type); }

bool hasOwnTruth(PyTypeObject *type) {
  return typeAttribute(type, "__bool__") || typeAttribute(type, "__len__");
}

std::vector<PyTypeObject *> classesOf(const std::vector<PyRef> &objects) {
  std::vector<PyTypeObject *> classes;
  for (const PyRef &object : objects)
    if (std::find(classes.begin(), classes.end(), Py_TYPE(object.get())) == classes.end())
      classes.push_back(Py_TYPE(object.get()));
  return classes;
}

Example isObject(const Example &example, PyRef other) {
  if (!example)
    return {};
  return [=](const Activation &activation) {
    PyRef object = example(activation);
    return object ? PyRef::share(object.get() == other.get() ? Py_True : Py_False) : PyRef();
  };
}

Example isOfOne(const Example &example, std::vector<PyTypeObject *> classes) {
  if (!example)
    return {};
  return [=](const Activation &activation) {
    PyRef object = example(activation);
    if (!object)
      return PyRef();
    bool is = std::find(classes.begin(), classes.end(), Py_TYPE(object.get())) != classes.end();
    return PyRef::share(is ? Py_True : Py_False);
  };
}

} // namespace

//===- Values ------------------------------------------------------------------------------===//

// The value of the graph that the object is, or stands for.
ValueId Interpreter::held(PyObject *object) {
  if (isGraphNumber(object))
    return SymbolicScalar::of(symbolicNumber(object))->value();
  if (isTensor(object)) {
    ProxyImpl *proxy = ProxyImpl::of(THPVariable_Unpack(object));
    return proxy ? proxy->value() : host_.recording->outsideTensor(THPVariable_Unpack(object));
  }
  refuseChoice(object);
  auto pointer = pointerOf(object);
  return pointer ? *pointer : host_.recording->heldObject(object);
}

PyRef Interpreter::boolOf(ValueId value, Example example) {
  lanes_.note(value, std::move(example));
  return numberForPython(SymbolicScalar::ofValue(host_.recording->shared_from_this(),
                                                 SymbolicScalar::Kind::Bool, value));
}

// An object that was read, as what the program has: a tensor or a number where it is always one.
PyRef Interpreter::objectOf(ValueId value) {
  std::vector<PyRef> seen = lanes_.seen(value);
  if (seen.empty())
    throw CannotInterpret("nothing is known of an object that a pointer leads to");
  std::optional<ValueType> type = graphTypeOf(seen);
  return type ? unboxed(value, *type, seen[0].get()) : makePointer(value);
}

// An object that is a tensor or a number of that type, `like` this one.
PyRef Interpreter::unboxed(ValueId value, const ValueType &type, PyObject *like) {
  ValueId unboxed = host_.recording->graph().unbox(value, type);
  auto recording = host_.recording->shared_from_this();
  if (type.kind == ValueType::Kind::Tensor) {
    const at::Tensor &tensor = THPVariable_Unpack(like);
    // One of those that the program may know by another name.
    recording->noteMerged(unboxed);
    recording->noteMemory(unboxed, Recording::Memory::Found);
    objects_[unboxed] = value;
    return checked(THPVariable_Wrap(ProxyImpl::make(
        recording, unboxed, ProxyImpl::Shape::fixed(Extent::of(tensor), tensor.device()))));
  }
  lanes_.note(unboxed, lanes_.of(value));
  return numberForPython(SymbolicScalar::ofValue(recording, kindOf(type), unboxed));
}

// In the place of a pointer that is a tensor or a number in the lanes that are left.
PyRef Interpreter::settled(PyObject *object) {
  auto pointer = pointerOf(object);
  if (!pointer)
    return PyRef::share(object);
  refuseChoice(object);
  PyRef value = objectOf(*pointer);
  std::vector<PyRef> seen = lanes_.seen(*pointer);
  if (seen.size() == 1 && seen[0].get() == Py_None) {
    GraphRecorder &graph = host_.recording->graph();
    graph.assertTrue(graph.isSame(*pointer, held(Py_None)), "an object is None");
    return PyRef::share(Py_None);
  }
  if (pointerOf(value.get()))
    throw CannotInterpret("an object that differs from call to call is used in a way of which "
                          "nothing is known");
  return value;
}

//===- Classes -----------------------------------------------------------------------------===//

// Asserts that the object is of one of these.
ValueId Interpreter::isOfClasses(ValueId pointer, const std::vector<PyTypeObject *> &classes) {
  GraphRecorder &graph = host_.recording->graph();
  ValueId any = kNoValue;
  for (PyTypeObject *type : classes) {
    ValueId is = graph.isOfClass(pointer, held(asObject(type)));
    ValueId both[] = {any, is};
    any = any == kNoValue ? is : graph.scalar(ScalarOp::Or, both);
  }
  return any;
}

void Interpreter::assertClasses(ValueId pointer, const std::vector<PyTypeObject *> &classes) {
  for (PyTypeObject *type : classes)
    log_.readType(type);
  host_.recording->graph().assertTrue(isOfClasses(pointer, classes),
                                      "an object is of another class");
}

std::vector<PyTypeObject *> Interpreter::classesSeen(ValueId pointer) const {
  if (const OpaqueObject *opaque = opaque_.find(pointer); opaque && opaque->mayBeNone)
    return {Py_TYPE(opaque->sample.get()), Py_TYPE(Py_None)};
  std::vector<PyTypeObject *> classes = classesOf(lanes_.seen(pointer));
  if (perhapsNone_.contains(pointer))
    classes.push_back(Py_TYPE(Py_None));
  return classes;
}

// What lanes tell of the object itself: another one than the sample may be another value.
Example Interpreter::exampleOfPointer(ValueId pointer) const {
  return opaque_.find(pointer) ? Example() : lanes_.of(pointer);
}

// The one class that it has where it is not None.
PyTypeObject *Interpreter::classOf(ValueId pointer) {
  std::vector<PyTypeObject *> classes = classesSeen(pointer);
  std::erase(classes, Py_TYPE(Py_None));
  if (classes.empty())
    throw CannotInterpret("nothing is known of an object that a pointer leads to");
  if (classes.size() > 1)
    throw CannotInterpret(std::string("an object is a ") + classes[0]->tp_name + " or a " +
                          classes[1]->tp_name);
  log_.readType(classes[0]);
  return classes[0];
}

PyRef Interpreter::pointerIsInstance(PyObject *pointer, PyObject *cls) {
  refuseChoice(pointer);
  ValueId value = *pointerOf(pointer);
  std::vector<PyRef> seen = lanes_.seen(value);
  std::vector<PyTypeObject *> classes = classesSeen(value), instances;
  if (const OpaqueObject *opaque = opaque_.find(value))
    seen = {opaque->sample};
  seen.push_back(PyRef::share(Py_None));
  for (PyTypeObject *type : classes)
    for (const PyRef &object : seen)
      if (Py_TYPE(object.get()) == type) {
        if (checked(isInstanceOf(object.get(), cls)))
          instances.push_back(type);
        break;
      }
  if (classes.empty())
    throw CannotInterpret("nothing is known of an object whose class is asked for");
  assertClasses(value, classes);
  if (instances.empty() || instances.size() == classes.size())
    return PyRef::share(instances.empty() ? Py_False : Py_True);
  return boolOf(isOfClasses(value, instances), isOfOne(exampleOfPointer(value), instances));
}

PyRef Interpreter::pointerType(PyObject *pointer) {
  refuseChoice(pointer);
  ValueId value = *pointerOf(pointer);
  std::vector<PyTypeObject *> classes = classesSeen(value);
  if (classes.size() != 1)
    throw CannotInterpret("the class of an object that differs from call to call is asked for");
  assertClasses(value, classes);
  return PyRef::share(asObject(classes[0]));
}

//===- Truth and identity ------------------------------------------------------------------===//

// Whether it is true: a bool of the graph, or one of Python's where nothing else was seen.
PyRef Interpreter::pointerTruth(PyObject *pointer) {
  refuseChoice(pointer);
  if (dataOf(pointer))
    return callPure(operatorFunction("truth"), {pointer});
  ValueId value = *pointerOf(pointer);
  std::vector<PyTypeObject *> classes = classesSeen(value);
  if (classes.empty())
    throw CannotInterpret("nothing is known of an object whose truth is asked for");
  GraphRecorder &graph = host_.recording->graph();
  if (classes.size() == 1 &&
      (classes[0] == &PyList_Type || classes[0] == &PyTuple_Type || classes[0] == &PyDict_Type)) {
    PyRef length = pointerLength(pointer), zero = checked(PyLong_FromLong(0));
    return compare(syntax::CompareOp::Ne, length.get(), zero.get());
  }
  for (PyTypeObject *type : classes)
    if (type != Py_TYPE(Py_None) && hasOwnTruth(type))
      throw CannotInterpret(std::string("the truth of a ") + type->tp_name + " is asked for");
  assertClasses(value, classes);
  ValueId isNone = graph.isSame(value, held(Py_None));
  return negated(boolOf(isNone, isObject(exampleOfPointer(value), PyRef::share(Py_None))).get());
}

PyRef Interpreter::pointerIs(PyObject *left, PyObject *right) {
  refuseChoice(left);
  refuseChoice(right);
  GraphRecorder &graph = host_.recording->graph();
  auto first = pointerOf(left), second = pointerOf(right);
  if (!first)
    return pointerIs(right, left);
  if (second) {
    Example one = exampleOfPointer(*first), two = exampleOfPointer(*second);
    return boolOf(graph.isSame(*first, *second), [=](const Activation &activation) {
      PyRef a = one ? one(activation) : PyRef(), b = two ? two(activation) : PyRef();
      return a && b ? PyRef::share(a.get() == b.get() ? Py_True : Py_False) : PyRef();
    });
  }
  const OpaqueObject *opaque = opaque_.find(*first);
  if (right == Py_None && opaque && !opaque->mayBeNone)
    return PyRef::share(Py_False);
  bool isSingleton = right == Py_None || right == Py_Ellipsis || PyBool_Check(right);
  if (!isSingleton && (isImmutable(right) || isTensor(right)))
    throw CannotInterpret("an object that differs from call to call is compared by `is`");
  if (!isSingleton && log_.isFresh(right))
    return PyRef::share(Py_False);
  return boolOf(graph.isSame(*first, held(right)),
                isObject(exampleOfPointer(*first), PyRef::share(right)));
}

// Strings, and objects that are equal only to themselves.
PyRef Interpreter::pointerEquals(PyObject *left, PyObject *right) {
  refuseChoice(left);
  refuseChoice(right);
  auto first = pointerOf(left);
  if (!first)
    return pointerEquals(right, left);
  std::vector<PyTypeObject *> classes = classesSeen(*first);
  static PyObject *plainEquality = typeAttribute(&PyBaseObject_Type, "__eq__");
  bool isText = classes.size() == 1 && classes[0] == &PyUnicode_Type;
  if (isText && PyUnicode_CheckExact(right)) {
    assertClasses(*first, classes);
    Example example = exampleOfPointer(*first);
    PyRef constant = PyRef::share(right);
    return boolOf(
        host_.recording->graph().isEqual(*first, held(right)), [=](const Activation &activation) {
          PyRef object = example ? example(activation) : PyRef();
          return object && PyUnicode_CheckExact(object.get())
                     ? PyRef::steal(PyObject_RichCompare(object.get(), constant.get(), Py_EQ))
                     : PyRef();
        });
  }
  bool byIdentity =
      right == Py_None && !classes.empty() &&
      std::all_of(classes.begin(), classes.end(), [](PyTypeObject *type) {
        return type == Py_TYPE(Py_None) || typeAttribute(type, "__eq__") == plainEquality;
      });
  if (!byIdentity)
    throw CannotInterpret("an object that differs from call to call is compared");
  assertClasses(*first, classes);
  return pointerIs(left, right);
}

//===- Attributes and items ----------------------------------------------------------------===//

PyRef Interpreter::pointerAttribute(PyObject *pointer, PyObject *name) {
  if (const Choice *choice = opaque_.choice(pointer))
    return attributeOfChoice(*choice, name);
  ValueId value = *pointerOf(pointer);
  PyTypeObject *type = classOf(value);
  PyObject *descriptor = typeAttribute(type, name);
  const char *text = PyUnicode_AsUTF8(name);
  if (!text)
    throw PythonError();
  auto refuse = [&](const char *what) {
    throw CannotInterpret(std::string(what) + " of a " + type->tp_name +
                          " that differs from call to call: " + text);
  };
  if (!hasOrdinaryLookup(type) || PyUnicode_CompareWithASCIIString(name, "__dict__") == 0)
    refuse("an attribute");
  if (PyUnicode_CompareWithASCIIString(name, "__class__") == 0)
    return pointerType(pointer);
  GraphRecorder &graph = host_.recording->graph();
  if (descriptor && Py_IS_TYPE(descriptor, &PyProperty_Type)) {
    PyRef get = checked(PyObject_GetAttrString(descriptor, "fget"));
    if (get.get() == Py_None)
      refuse("a property");
    assertClasses(value, {type});
    return callWith(get.get(), PyRef::share(pointer));
  }
  if (descriptor && PyFunction_Check(descriptor)) {
    graph.assertTrue(graph.isMethod(value, text, held(asObject(type)), held(descriptor)),
                     "an object has another method");
    return checked(PyMethod_New(descriptor, pointer));
  }
  bool isMember = descriptor && Py_IS_TYPE(descriptor, &PyMemberDescr_Type);
  if (descriptor && !isMember &&
      (Py_TYPE(descriptor)->tp_descr_get || Py_TYPE(descriptor)->tp_descr_set))
    refuse("an attribute");
  Example object = lanes_.of(value);
  PyRef key = PyRef::share(name);
  ValueId read = graph.readAttribute(value, text, held(asObject(type)));
  lanes_.note(read,
              [=, written = written_, before = written_->size()](const Activation &activation) {
                PyRef from = object(activation);
                if (!from || Py_TYPE(from.get()) != type)
                  return PyRef();
                auto known = written->find(from.get(), key.get(), before);
                return known ? *known : plainAttribute(from.get(), key.get());
              });
  readClasses_.insert(type);
  return objectOf(read);
}

// To a list or a tuple, by what is known of it.
bool Interpreter::leadsToItems(PyObject *object) const {
  auto pointer = pointerOf(object);
  std::vector<PyRef> seen = pointer ? lanes_.seen(*pointer) : std::vector<PyRef>();
  return !seen.empty() && std::all_of(seen.begin(), seen.end(), [](const PyRef &one) {
    return PyList_CheckExact(one.get()) || PyTuple_CheckExact(one.get());
  });
}

PyRef Interpreter::pointerLength(PyObject *pointer) {
  refuseChoice(pointer);
  ValueId value = *pointerOf(pointer);
  PyTypeObject *type = classOf(value);
  if (type != &PyList_Type && type != &PyTuple_Type && type != &PyDict_Type)
    throw CannotInterpret(std::string("the length of a ") + type->tp_name + " is asked for");
  assertClasses(value, {type});
  readClasses_.insert(type);
  ValueId length = host_.recording->graph().lengthOf(value);
  if (Example object = exampleOfPointer(value))
    lanes_.note(length, [=](const Activation &activation) {
      PyRef from = object(activation);
      return from && Py_TYPE(from.get()) == type
                 ? PyRef::steal(PyLong_FromSsize_t(PyObject_Size(from.get())))
                 : PyRef();
    });
  return numberForPython(SymbolicScalar::ofValue(host_.recording->shared_from_this(),
                                                 SymbolicScalar::Kind::Int, length));
}

PyRef Interpreter::pointerItem(PyObject *pointer, PyObject *key) {
  refuseChoice(pointer);
  ValueId value = *pointerOf(pointer);
  PyTypeObject *type = classOf(value);
  const OpaqueObject *opaque = opaque_.find(value);
  PyRef zero = checked(PyLong_FromLong(0)), index = PyRef::share(key);
  bool isFromEnd =
      PyLong_CheckExact(key) && checked(PyObject_RichCompareBool(key, zero.get(), Py_LT)) != 0;
  if (opaque && isPlain(key) && (type == &PyDict_Type || isFromEnd)) {
    if (!PyRef::steal(PyObject_GetItem(opaque->sample.get(), key))) {
      PyErr_Clear();
      throw CannotInterpret(std::string("a ") + type->tp_name +
                            " that only the run knows is asked for what its like did not have");
    }
    return callPure(operatorFunction("getitem"), {pointer, key});
  }
  if ((type != &PyList_Type && type != &PyTuple_Type) ||
      (!PyLong_CheckExact(key) && !(isGraphNumber(key) && numberType(key) == &PyLong_Type)))
    throw CannotInterpret(std::string("an item of a ") + type->tp_name +
                          " that differs from call to call");
  assertClasses(value, {type});
  readClasses_.insert(type);
  if (isFromEnd)
    index = binary(syntax::BinaryOp::Add, pointerLength(pointer).get(), key);
  GraphRecorder &graph = host_.recording->graph();
  Example object = lanes_.of(value), position;
  ValueId at;
  if (isGraphNumber(index.get())) {
    at = SymbolicScalar::of(symbolicNumber(index.get()))->value();
    position = lanes_.of(at);
  } else {
    at = graph.constantInt(PyLong_AsLongLong(index.get()));
    position = [index](const Activation &) { return index; };
  }
  ValueId read = graph.readItem(value, at);
  lanes_.note(read, [=](const Activation &activation) {
    PyRef from = object(activation), where = position ? position(activation) : PyRef();
    if (!from || !where || Py_TYPE(from.get()) != type)
      return PyRef();
    PyRef found = PyRef::steal(PySequence_GetItem(from.get(), PyLong_AsSsize_t(where.get())));
    PyErr_Clear(); // there is none
    return found;
  });
  std::vector<PyRef> seen = lanes_.seen(read);
  return opaque && !seen.empty() ? opaqueResult(read, {seen[0], opaque->shared}) : objectOf(read);
}

//===- Conditions --------------------------------------------------------------------------===//

// Of a number of the graph that follows from what lanes have seen.
Example Interpreter::exampleOf(PyObject *number) {
  if (!isGraphNumber(number))
    return {};
  SymbolicScalar *scalar = SymbolicScalar::of(symbolicNumber(number));
  return scalar && !scalar->isKnown() ? lanes_.of(scalar->value()) : Example();
}

// A number that was computed from others: as Python computes it from their examples.
void Interpreter::noteComputed(PyObject *result, PyObject *left, PyObject *right,
                               const std::function<PyObject *(PyObject *, PyObject *)> &compute) {
  if (!isGraphNumber(result))
    return;
  numberExamples_.try_emplace(
      SymbolicScalar::of(symbolicNumber(result)),
      NumberExample{PyRef::share(result), {}, PyRef::share(left), PyRef::share(right), compute});
  if (!host_.policies)
    return;
  auto operandOf = [&](PyObject *operand) -> Example {
    if (PyLong_Check(operand) || PyFloat_CheckExact(operand))
      return [value = PyRef::share(operand)](const Activation &) { return value; };
    return exampleOf(operand);
  };
  Example first = operandOf(left), second = operandOf(right);
  if (!first || !second || (!isGraphNumber(left) && !isGraphNumber(right)))
    return;
  SymbolicScalar *scalar = SymbolicScalar::of(symbolicNumber(result));
  if (!scalar || scalar->isKnown())
    return;
  lanes_.note(scalar->value(), [=](const Activation &activation) {
    PyRef a = first(activation), b = second(activation);
    PyRef value = a && b ? PyRef::steal(compute(a.get(), b.get())) : PyRef();
    PyErr_Clear(); // division by zero and the like
    return value;
  });
}

// What a condition is in all lanes, which the graph then asserts.
std::optional<bool> Interpreter::decided(PyObject *condition) {
  bool isBool = isGraphNumber(condition) && numberType(condition) == &PyBool_Type;
  Example example = isBool ? exampleOf(condition) : Example();
  if (!example)
    return std::nullopt;
  Lanes::Ways ways = lanes_.waysOf(example);
  if (ways.taken[0] == ways.taken[1])
    return std::nullopt;
  assertWay(condition, ways.taken[1], "no other way was seen");
  return ways.taken[1];
}

} // namespace bifront
