// Operators, truth, items and iteration: by the program's own special methods where its classes
// have them, natively elsewhere.
#include "frontend/callbacks.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/number_arithmetic.h"
#include "frontend/numpy_data.h"
#include "frontend/output.h"
#include "frontend/pointers.h"
#include "frontend/stacked_items.h"
#include "frontend/walked_helpers.h"

#include "capture/program_asks.h"

namespace bifront {

using namespace syntax;

namespace {

struct BinaryRow {
  binaryfunc plain, inPlace;
  const char *name, *reflected, *inPlaceName, *symbol;
};

PyObject *power(PyObject *a, PyObject *b) { return PyNumber_Power(a, b, Py_None); }
PyObject *inPlacePower(PyObject *a, PyObject *b) { return PyNumber_InPlacePower(a, b, Py_None); }

const BinaryRow &rowOf(BinaryOp op) {
  static constexpr BinaryRow rows[] = {
      {PyNumber_Add, PyNumber_InPlaceAdd, "__add__", "__radd__", "__iadd__", "+"},
      {PyNumber_And, PyNumber_InPlaceAnd, "__and__", "__rand__", "__iand__", "&"},
      {PyNumber_FloorDivide, PyNumber_InPlaceFloorDivide, "__floordiv__", "__rfloordiv__",
       "__ifloordiv__", "//"},
      {PyNumber_Lshift, PyNumber_InPlaceLshift, "__lshift__", "__rlshift__", "__ilshift__", "<<"},
      {PyNumber_MatrixMultiply, PyNumber_InPlaceMatrixMultiply, "__matmul__", "__rmatmul__",
       "__imatmul__", "@"},
      {PyNumber_Multiply, PyNumber_InPlaceMultiply, "__mul__", "__rmul__", "__imul__", "*"},
      {PyNumber_Remainder, PyNumber_InPlaceRemainder, "__mod__", "__rmod__", "__imod__", "%"},
      {PyNumber_Or, PyNumber_InPlaceOr, "__or__", "__ror__", "__ior__", "|"},
      {power, inPlacePower, "__pow__", "__rpow__", "__ipow__", "** or pow()"},
      {PyNumber_Rshift, PyNumber_InPlaceRshift, "__rshift__", "__rrshift__", "__irshift__", ">>"},
      {PyNumber_Subtract, PyNumber_InPlaceSubtract, "__sub__", "__rsub__", "__isub__", "-"},
      {PyNumber_TrueDivide, PyNumber_InPlaceTrueDivide, "__truediv__", "__rtruediv__",
       "__itruediv__", "/"},
      {PyNumber_Xor, PyNumber_InPlaceXor, "__xor__", "__rxor__", "__ixor__", "^"},
  };
  return rows[static_cast<size_t>(op)];
}

struct CompareRow {
  int native;
  const char *name, *reflected;
};

const CompareRow &rowOf(CompareOp op) {
  static constexpr CompareRow rows[] = {
      {Py_LT, "__lt__", "__gt__"}, {Py_LE, "__le__", "__ge__"}, {Py_EQ, "__eq__", "__eq__"},
      {Py_NE, "__ne__", "__ne__"}, {Py_GT, "__gt__", "__lt__"}, {Py_GE, "__ge__", "__le__"},
  };
  return rows[static_cast<size_t>(op)];
}

bool isBool(PyObject *number) {
  return isGraphNumber(number) ? numberType(number) == &PyBool_Type : PyBool_Check(number);
}

// Of two numbers, one is a bool of the graph.
bool hasBoolOfGraph(PyObject *left, PyObject *right) {
  auto isNumber = [](PyObject *object) {
    return isGraphNumber(object) || PyLong_Check(object) || PyFloat_CheckExact(object);
  };
  return isNumber(left) && isNumber(right) &&
         ((isGraphNumber(left) && isBool(left)) || (isGraphNumber(right) && isBool(right)));
}

bool overrides(PyObject *right, PyObject *left, const char *name) {
  return Py_TYPE(right) != Py_TYPE(left) && PyType_IsSubtype(Py_TYPE(right), Py_TYPE(left)) &&
         typeAttribute(Py_TYPE(right), name) != typeAttribute(Py_TYPE(left), name);
}

} // namespace

//===- Binary and unary operators ----------------------------------------------------------===//

// The result of the first of the special methods that knows what to do; nothing where none is the
// program's, so that CPython can be left to it.
std::optional<PyRef> Interpreter::dispatched(PyObject *left, PyObject *right, const char *name,
                                             const char *reflected) {
  if (!hasWalkedMethod(left, name) && !hasWalkedMethod(right, reflected))
    return std::nullopt;
  auto attempt = [&](PyObject *self, PyObject *other, const char *method) -> PyRef {
    PyObject *function = typeAttribute(Py_TYPE(self), method);
    if (!function)
      return PyRef::share(Py_NotImplemented);
    log_.readType(Py_TYPE(self));
    log_.readTypeOf(self);
    CallArguments arguments;
    arguments.positional = {PyRef::share(self), PyRef::share(other)};
    return call(function, std::move(arguments));
  };
  bool sameType = Py_TYPE(left) == Py_TYPE(right);
  bool rightFirst = overrides(right, left, reflected);
  PyRef result = rightFirst ? attempt(right, left, reflected) : attempt(left, right, name);
  if (result.get() == Py_NotImplemented && (!sameType || name == reflected))
    result = rightFirst ? attempt(left, right, name) : attempt(right, left, reflected);
  return result;
}

PyRef Interpreter::binary(BinaryOp op, PyObject *left, PyObject *right, bool inPlace) {
  bool isLogic = op == BinaryOp::And || op == BinaryOp::Or || op == BinaryOp::Xor;
  if (hasBoolOfGraph(left, right) && !(isLogic && isBool(left) && isBool(right)))
    return binary(op, counted(left).get(), counted(right).get(), inPlace);
  if (isTensor(left) && dataOf(right))
    return binary(op, left, numberOfScalar(right).get(), inPlace);
  if (auto result = operatorOnData(rowOf(op).name, left, right, inPlace))
    return *result;
  if (pointerOf(left) || pointerOf(right))
    return binary(op, settled(left).get(), settled(right).get(), inPlace);
  const BinaryRow &row = rowOf(op);
  if (inPlace) {
    if (auto result = callSpecial(left, row.inPlaceName, {right}))
      if (result->get() != Py_NotImplemented)
        return *result;
    if (isMutableContainer(left) && PyObject_HasAttrString(left, row.inPlaceName)) {
      PyRef method = checked(
          PyObject_GetAttrString(reinterpret_cast<PyObject *>(Py_TYPE(left)), row.inPlaceName));
      PyObject *arguments[] = {left, right};
      return natively(row.inPlaceName, {right},
                      [&] { return log_.mutate(left, method.get(), arguments, 2, nullptr); });
    }
  }
  if (auto result = dispatched(left, right, row.name, row.reflected)) {
    if (result->get() != Py_NotImplemented)
      return *result;
    PyErr_Format(PyExc_TypeError, "unsupported operand type(s) for %s%s: '%.100s' and '%.100s'",
                 row.symbol, inPlace ? "=" : "", Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name);
    throw PythonError();
  }
  if (auto result = numberArithmetic(op, left, right)) {
    noteComputed(result->get(), left, right, row.plain);
    return std::move(*result);
  }
  if (op == BinaryOp::Remainder && PyUnicode_CheckExact(left)) {
    static PyObject *remainder =
        PyObject_GetAttrString(PyRef::steal(PyImport_ImportModule("operator")).get(), "mod");
    if (auto text = textOf(remainder, {PyRef::share(left), PyRef::share(right)}))
      return *text;
  }
  PyRef result = natively(row.name, {left, right}, [&] {
    PyRef value = letOthersRun({left, right}, [&] {
      return PyRef::steal((inPlace ? row.inPlace : row.plain)(left, right));
    });
    if (value)
      return value;
    CallArguments operands;
    operands.positional = {PyRef::share(left), PyRef::share(right)};
    auto known = withKnownNumbers(operands);
    if (!known)
      throw PythonError();
    return checked((inPlace ? row.inPlace : row.plain)(known->positional[0].get(),
                                                       known->positional[1].get()));
  });
  noteMade(result.get());
  noteComputed(result.get(), left, right, row.plain);
  return result;
}

PyRef Interpreter::unary(UnaryOp op, PyObject *operand) {
  if (op == UnaryOp::Not)
    return negated(operand);
  if (hasBoolOfGraph(operand, operand))
    return unary(op, counted(operand).get());
  bool isInt = isGraphNumber(operand) && numberType(operand) == &PyLong_Type;
  if (op == UnaryOp::Invert && isInt) // ~n is -n - 1
    return binary(BinaryOp::Subtract, unary(UnaryOp::Negative, operand).get(),
                  checked(PyLong_FromLong(1)).get());
  const char *name = op == UnaryOp::Negative   ? "__neg__"
                     : op == UnaryOp::Positive ? "__pos__"
                                               : "__invert__";
  if (dataOf(operand))
    return callPure(operatorFunction(name), {operand});
  if (pointerOf(operand))
    return unary(op, settled(operand).get());
  if (auto result = callSpecial(operand, name, {}))
    return *result;
  return letOthersRun({operand}, [&] {
    return checked(op == UnaryOp::Negative   ? PyNumber_Negative(operand)
                   : op == UnaryOp::Positive ? PyNumber_Positive(operand)
                                             : PyNumber_Invert(operand));
  });
}

//===- Comparisons -------------------------------------------------------------------------===//

PyRef Interpreter::compare(CompareOp op, PyObject *left, PyObject *right) {
  switch (op) {
  case CompareOp::Is: return sameObject(left, right);
  case CompareOp::IsNot: return negated(sameObject(left, right).get());
  case CompareOp::In: return PyRef::share(contains(right, left) ? Py_True : Py_False);
  case CompareOp::NotIn: return PyRef::share(contains(right, left) ? Py_False : Py_True);
  default: break;
  }
  if (isTensor(left) && dataOf(right))
    return compare(op, left, numberOfScalar(right).get());
  if (auto result = operatorOnData(rowOf(op).name, left, right))
    return *result;
  if (pointerOf(left) || pointerOf(right)) {
    if (op == CompareOp::Eq)
      return pointerEquals(left, right);
    if (op == CompareOp::Ne)
      return negated(pointerEquals(left, right).get());
    return compare(op, settled(left).get(), settled(right).get());
  }
  bool isEquality = op == CompareOp::Eq || op == CompareOp::Ne;
  if (hasBoolOfGraph(left, right) && !(isEquality && isBool(left) && isBool(right)))
    return compare(op, counted(left).get(), counted(right).get());
  const CompareRow &row = rowOf(op);
  if (auto result = dispatched(left, right, row.name, row.reflected)) {
    if (result->get() != Py_NotImplemented)
      return *result;
    if (op == CompareOp::Eq || op == CompareOp::Ne)
      return PyRef::share((left == right) == (op == CompareOp::Eq) ? Py_True : Py_False);
    PyErr_Format(PyExc_TypeError, "'%s' not supported between instances of '%.100s' and '%.100s'",
                 op == CompareOp::Lt   ? "<"
                 : op == CompareOp::Le ? "<="
                 : op == CompareOp::Gt ? ">"
                                       : ">=",
                 Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name);
    throw PythonError();
  }
  PyRef result = natively(row.name, {left, right}, [&] {
    return letOthersRun({left, right},
                        [&] { return checked(PyObject_RichCompare(left, right, row.native)); });
  });
  noteComputed(result.get(), left, right, [native = row.native](PyObject *a, PyObject *b) {
    return PyObject_RichCompare(a, b, native);
  });
  return result;
}

// A bool of the graph is one of Python's two.
PyRef Interpreter::sameObject(PyObject *left, PyObject *right) {
  if (left != right && (pointerOf(left) || pointerOf(right)))
    return pointerIs(left, right);
  if (left != Py_None && right != Py_None) {
    refuseStream(left);
    refuseStream(right);
  }
  if (left != right && (isEitherTensor(left) || isEitherTensor(right)) && isTensor(left) &&
      isTensor(right))
    return sameTensor(left, right);
  PyObject *number = isGraphNumber(left) ? left : isGraphNumber(right) ? right : nullptr;
  PyObject *other = number == left ? right : left;
  if (!number || other == Py_None || other == number || !isImmutable(other))
    return PyRef::share(left == right ? Py_True : Py_False);
  if (numberType(number) != &PyBool_Type && !isGraphNumber(other) &&
      numberType(number) != Py_TYPE(other))
    return PyRef::share(Py_False);
  if (numberType(number) == &PyBool_Type && PyBool_Check(other))
    return other == Py_True ? PyRef::share(number) : negated(number);
  if (numberType(number) == &PyBool_Type && !isGraphNumber(other))
    return PyRef::share(Py_False);
  throw CannotInterpret("numbers that vary are compared by `is`");
}

PyRef Interpreter::sameTensor(PyObject *left, PyObject *right) {
  if (left == right)
    return PyRef::share(Py_True);
  auto eitherOf = [&](PyObject *tensor) {
    return isEitherTensor(tensor) ? eitherTensors_.find(held(tensor)) : eitherTensors_.end();
  };
  auto either = eitherOf(left);
  if (either == eitherTensors_.end() && isEitherTensor(right)) {
    std::swap(left, right);
    either = eitherOf(left);
  }
  if (either == eitherTensors_.end() && isEitherTensor(left))
    throw CannotInterpret("which tensor a branch gives is asked by `is`");
  if (either == eitherTensors_.end())
    return PyRef::share(Py_False);
  const EitherTensor of = either->second;
  PyRef then = sameTensor(of.ways[0].get(), right), otherwise = sameTensor(of.ways[1].get(), right);
  PyRef isThen = binary(BinaryOp::And, of.condition.get(), then.get());
  PyRef isOther = binary(BinaryOp::And, negated(of.condition.get()).get(), otherwise.get());
  return binary(BinaryOp::Or, isThen.get(), isOther.get());
}

bool Interpreter::contains(PyObject *container, PyObject *item) {
  if (pointerOf(container) || (pointerOf(item) && !isForTheRun(container, item)))
    return contains(settled(container).get(), settled(item).get());
  if (auto result = callSpecial(container, "__contains__", {item}))
    return truth(result->get());
  if (PyDict_Check(container)) {
    if (auto numbered = numberedItem(container, item))
      return static_cast<bool>(*numbered);
    PyRef key = keyOf(item);
    PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(container, key.get()));
    log_.read(Slot::Kind::DictItem, container, key.get(), value);
    return value != nullptr;
  }
  if (hasWalkedMethod(container, "__iter__") || hasWalkedMethod(container, "__getitem__")) {
    PyRef iterator = iterate(container);
    while (PyRef candidate = next(iterator.get()))
      if (candidate.get() == item || truth(compare(CompareOp::Eq, candidate.get(), item).get()))
        return true;
    return false;
  }
  PyRef sought = PyAnySet_Check(container) ? keyOf(item) : PyRef::share(item);
  item = sought.get();
  return comparing("__contains__", container, item, [&] {
           return PyRef::share(checked(PySequence_Contains(container, item)) ? Py_True : Py_False);
         }).get() == Py_True;
}

std::optional<PyRef> Interpreter::ownLength(PyObject *object) {
  auto length = callSpecial(object, "__len__", {});
  if (!length || isGraphNumber(length->get()))
    return length;
  PyRef number = checked(PyNumber_Index(length->get()));
  PyRef zero = checked(PyLong_FromLong(0));
  if (checked(PyObject_RichCompareBool(number.get(), zero.get(), Py_LT)))
    raise(PyExc_ValueError, "__len__() should return >= 0");
  Py_ssize_t size = PyLong_AsSsize_t(number.get());
  if (size < 0)
    throw PythonError();
  return checked(PyLong_FromSsize_t(size));
}

bool Interpreter::truth(PyObject *value) {
  if (auto forced = std::exchange(forced_, std::nullopt))
    return *forced;
  if (pointerOf(value) || isNumpyArray(value))
    return truth(pointerTruth(value).get());
  if (auto known = decided(value))
    return *known;
  if (value == Py_True || value == Py_False || value == Py_None)
    return value == Py_True;
  if (auto result = callSpecial(value, "__bool__", {})) {
    PyObject *answer = result->get();
    if (isGraphNumber(answer) && numberType(answer) == &PyBool_Type)
      return truth(answer);
    if (!PyBool_Check(answer))
      raise(PyExc_TypeError, "__bool__ should return bool");
    return answer == Py_True;
  }
  if (!typeAttribute(Py_TYPE(value), "__bool__"))
    if (auto length = ownLength(value))
      return checked(PyObject_IsTrue(length->get())) != 0;
  if (PyRef length = lengthOfList(value))
    return truth(length.get());
  if (isMutableContainer(value) && !readsFirstItem(value))
    log_.readContainer(value);
  ProgramAsks program;
  return letOthersRun({value}, [&] {
           return PyRef::share(checked(PyObject_IsTrue(value)) != 0 ? Py_True : Py_False);
         }).get() == Py_True;
}

// What is found under its first key says that a dict is not empty.
bool Interpreter::readsFirstItem(PyObject *dict) {
  PyObject *key = nullptr, *value = nullptr;
  Py_ssize_t at = 0;
  if (!PyDict_Check(dict) || log_.hasNumbered(dict) || !PyDict_Next(dict, &at, &key, &value) ||
      !isPlain(key))
    return false;
  found(Slot::Kind::DictItem, dict, key, value);
  return true;
}

PyRef Interpreter::negated(PyObject *operand) {
  if (pointerOf(operand))
    return negated(pointerTruth(operand).get());
  if (isGraphNumber(operand)) { // stays one
    PyRef result = checked(negatedNumber(operand));
    noteComputed(result.get(), operand, operand, [](PyObject *value, PyObject *) {
      int is = PyObject_Not(value);
      return is < 0 ? nullptr : PyBool_FromLong(is);
    });
    return result;
  }
  return PyRef::share(truth(operand) ? Py_False : Py_True);
}

//===- Items -------------------------------------------------------------------------------===//

namespace {

// The index of a list's item, as long as it is a plain one from the front.
std::optional<Py_ssize_t> plainIndex(PyObject *list, PyObject *key) {
  if (!PyList_CheckExact(list) || !PyLong_CheckExact(key))
    return std::nullopt;
  Py_ssize_t index = PyLong_AsSsize_t(key);
  if (index == -1 && PyErr_Occurred())
    PyErr_Clear(); // too large an index
  if (index < 0 || index >= PyList_GET_SIZE(list))
    return std::nullopt;
  return index;
}

// A slice that can be taken out of any list.
bool isSliceOfInts(PyObject *key) {
  if (!PySlice_Check(key))
    return false;
  auto *slice = reinterpret_cast<PySliceObject *>(key);
  auto isBound = [](PyObject *bound) { return bound == Py_None || PyLong_CheckExact(bound); };
  return isBound(slice->start) && isBound(slice->stop) && slice->step == Py_None;
}

} // namespace

// With ints in the places of objects of the program that stand for one; null where it has none.
PyRef Interpreter::keyOfInts(PyObject *key) {
  if (PySlice_Check(key)) {
    auto *slice = reinterpret_cast<PySliceObject *>(key);
    PyRef start = keyOfInts(slice->start), stop = keyOfInts(slice->stop),
          step = keyOfInts(slice->step);
    auto either = [](const PyRef &made, PyObject *given) { return made ? made.get() : given; };
    return start || stop || step
               ? checked(PySlice_New(either(start, slice->start), either(stop, slice->stop),
                                     either(step, slice->step)))
               : PyRef();
  }
  if (PyTuple_CheckExact(key)) {
    std::vector<PyRef> parts;
    bool differs = false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i) {
      PyRef part = keyOfInts(PyTuple_GET_ITEM(key, i));
      differs = differs || part;
      parts.push_back(part ? part : PyRef::share(PyTuple_GET_ITEM(key, i)));
    }
    return differs ? tupleOf(parts) : PyRef();
  }
  if (isTensor(key) || isGraphNumber(key) || pointerOf(key))
    return {};
  return callSpecial(key, "__index__", {}).value_or(PyRef());
}

PyRef Interpreter::item(PyObject *object, PyObject *key) {
  if (dataOf(object))
    return callPure(operatorFunction("__getitem__"), {object, key});
  if (holdsStacked(object))
    return itemAmongRows(object, key);
  if (pointerOf(object))
    return pointerItem(object, key);
  if (pointerOf(key) && !isForTheRun(object, key))
    return item(object, settled(key).get());
  if (isGraphNumber(key) && (PyList_CheckExact(object) || PyTuple_CheckExact(object))) {
    PyRef chosen = chosenItem(object, key);
    return chosen ? chosen : item(object, knownNumber(key).get());
  }
  if (PyDict_Check(object) && !hasWalkedMethod(object, "__getitem__"))
    return dictItem(object, key);
  if (auto index = plainIndex(object, key))
    return found(Slot::Kind::ListItem, object, key, PyList_GET_ITEM(object, *index));
  if (!hasWalkedMethod(object, "__getitem__"))
    if (PyRef ints = keyOfInts(key))
      return item(object, ints.get());
  if (PyRef items = itemsFromEnd(object, key))
    return items;
  if (auto result = callSpecial(object, "__getitem__", {key}))
    return *result;
  if (PyRef tensors = isTensor(object) ? keyWithTensors(key) : PyRef())
    return item(object, tensors.get());
  if (PyRef part = letOthersRun({object, key}, [&] { return selected(object, key); }))
    return part;
  bool isKnown = isMutableContainer(object) || PyTuple_Check(object) || isTensor(object);
  if (isMutableContainer(object))
    log_.readContainer(object);
  auto get = [&] { return checked(PyObject_GetItem(object, key)); };
  PyRef result =
      isKnown ? letOthersRun({object, key}, get) : natively("__getitem__", {object, key}, get);
  noteMade(result.get());
  return result;
}

PyRef Interpreter::dictItem(PyObject *dict, PyObject *sought) {
  std::function<PyRef()> missing;
  if (hasWalkedMethod(dict, "__missing__"))
    missing = [&] { return *callSpecial(dict, "__missing__", {sought}); };
  if (auto item = numberedItem(dict, sought, missing)) {
    if (*item)
      return *item;
    PyErr_SetObject(PyExc_KeyError, sought);
    throw PythonError();
  }
  PyRef held = keyOf(sought);
  PyObject *key = held.get();
  PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(dict, key));
  if (value)
    return found(Slot::Kind::DictItem, dict, key, value);
  log_.read(Slot::Kind::DictItem, dict, key, nullptr);
  if (auto missing = callSpecial(dict, "__missing__", {key}))
    return *missing;
  PyRef factory = PyRef::steal(PyObject_GetAttrString(dict, "default_factory"));
  PyErr_Clear(); // only a defaultdict has one
  if (factory && factory.get() != Py_None && typeAttribute(Py_TYPE(dict), "__missing__")) {
    PyRef made = call(factory.get(), {});
    log_.write(Slot::Kind::DictItem, dict, key, made.get());
    return made;
  }
  PyErr_SetObject(PyExc_KeyError, key);
  throw PythonError();
}

void Interpreter::setItem(PyObject *object, PyObject *key, PyObject *value) {
  if (value && dataOf(object))
    return setDataItem(object, key, value);
  if (pointerOf(object))
    throw CannotInterpret("an object that differs from call to call is written");
  checkNotStacked(object);
  if ((pointerOf(key) && !isForTheRun(object, key)) || (isTensor(object) && pointerOf(value)))
    return setItem(object, settled(key).get(), settled(value).get());
  if (isGraphNumber(key) && PyList_CheckExact(object)) {
    setItem(object, knownNumber(key).get(), value);
    return;
  }
  if (PyDict_Check(object) && !hasWalkedMethod(object, value ? "__setitem__" : "__delitem__")) {
    if (setNumberedItem(object, key, value))
      return;
    PyRef held = keyOf(key);
    key = held.get();
    if (!value && !checkedOrAbsent(PyDict_GetItemWithError(object, key))) {
      log_.read(Slot::Kind::DictItem, object, key, nullptr);
      PyErr_SetObject(PyExc_KeyError, key);
      throw PythonError();
    }
    if (!value) // the item must be there at each run
      log_.read(Slot::Kind::DictItem, object, key, PyDict_GetItemWithError(object, key));
    log_.write(Slot::Kind::DictItem, object, key, value);
    return;
  }
  if (!hasWalkedMethod(object, "__setitem__") && !hasWalkedMethod(object, "__delitem__"))
    if (PyRef ints = keyOfInts(key))
      return setItem(object, ints.get(), value);
  if (auto index = plainIndex(object, key); index && value) {
    found(Slot::Kind::ListItem, object, key, PyList_GET_ITEM(object, *index));
    log_.write(Slot::Kind::ListItem, object, key, value);
    return;
  }
  if (value ? callSpecial(object, "__setitem__", {key, value})
            : callSpecial(object, "__delitem__", {key}))
    return;
  if (isMutableContainer(object)) {
    if (value || !PyList_CheckExact(object) || !isSliceOfInts(key)) // which is there or not
      log_.readContainer(object);
    PyRef method = checked(PyObject_GetAttrString(reinterpret_cast<PyObject *>(Py_TYPE(object)),
                                                  value ? "__setitem__" : "__delitem__"));
    PyObject *arguments[] = {object, key, value};
    log_.mutate(object, method.get(), arguments, value ? 3 : 2, nullptr);
    return;
  }
  if (!isTensor(object))
    throw CannotInterpret(std::string("an item of a ") + Py_TYPE(object)->tp_name + " is set");
  if (PyRef tensors = keyWithTensors(key))
    setItem(object, tensors.get(), value);
  else if (!value || !setSelected(object, key, value))
    letOthersRun({object, key, value ? value : Py_None}, [&] {
      checked(value ? PyObject_SetItem(object, key, value) : PyObject_DelItem(object, key));
      return PyRef();
    });
}

//===- Iteration ---------------------------------------------------------------------------===//

PyRef Interpreter::iterate(PyObject *iterable) {
  if (PyRef items = opaqueItems(iterable))
    return iterate(items.get());
  if (pointerOf(iterable))
    return iterate(settled(iterable).get());
  checkNotStacked(iterable);
  if (auto iterator = callSpecial(iterable, "__iter__", {}))
    return *iterator;
  if (hasWalkedMethod(iterable, "__getitem__") && !typeAttribute(Py_TYPE(iterable), "__iter__")) {
    CallArguments arguments;
    arguments.positional.push_back(PyRef::share(iterable));
    return call(walkedHelper("items_by_number").get(), std::move(arguments));
  }
  PyRef iterator;
  if (isMutableContainer(iterable) || PyTuple_CheckExact(iterable)) {
    noteLength(iterable);
    if (!PyTuple_CheckExact(iterable))
      log_.readContainer(iterable);
    iterator = checked(PyObject_GetIter(iterable));
  } else if (PyDictViewSet_Check(iterable) || PyDictValues_Check(iterable)) {
    auto *view = reinterpret_cast<_PyDictViewObject *>(iterable);
    log_.readContainer(reinterpret_cast<PyObject *>(view->dv_dict));
    iterator = checked(PyObject_GetIter(iterable));
  } else {
    iterator =
        natively("__iter__", {iterable}, [&] { return checked(PyObject_GetIter(iterable)); });
  }
  if (iterator.get() != iterable && !callbackOf(iterator.get()))
    log_.noteFresh(iterator.get());
  return iterator;
}

PyRef Interpreter::next(PyObject *iterator) {
  PyRef value = nextOrStop(iterator);
  if (!value)
    PyErr_Clear(); // the end
  return value;
}

PyRef Interpreter::nextOrStop(PyObject *iterator) {
  if (hasWalkedMethod(iterator, "__next__")) {
    try {
      return *callSpecial(iterator, "__next__", {});
    } catch (const PythonError &) {
      if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        throw;
      return {};
    }
  }
  if (!log_.isFresh(iterator) && !callbackOf(iterator))
    throw UnknownEffects("an iterator from outside moves on");
  if (!forks_.empty() && !log_.isFreshSince(forks_.back().mark, iterator))
    throw CannotInterpret("an iterator from outside of a branch moves on in it");
  if (!PyIter_Check(iterator))
    raise(PyExc_TypeError, "the object is not an iterator");
  PyRef value = PyRef::steal(Py_TYPE(iterator)->tp_iternext(iterator));
  rethrowRefusal();
  if (!value && !PyErr_Occurred())
    PyErr_SetNone(PyExc_StopIteration);
  if (!value && !PyErr_ExceptionMatches(PyExc_StopIteration))
    throw PythonError();
  if (stackedItems(value.get()))
    refuseStacked(value.get());
  if (value && PyTuple_CheckExact(value.get())) // of zip() and its kin
    checkNotStacked(value.get());
  if (value)
    noteMade(value.get());
  return value;
}

PyRef Interpreter::listOf(PyObject *iterable) {
  PyRef list = checked(PyList_New(0));
  PyRef iterator = iterate(iterable);
  while (PyRef value = next(iterator.get()))
    checked(PyList_Append(list.get(), value.get()));
  log_.noteFresh(list.get());
  return list;
}

//===- Special methods ---------------------------------------------------------------------===//

PyRef Interpreter::specialMethod(PyObject *object, const char *name) {
  if (pointerOf(object))
    throw CannotInterpret(std::string("calls ") + name +
                          " of an object that differs from call to call");
  PyObject *descriptor = typeAttribute(Py_TYPE(object), name);
  if (!descriptor) {
    PyErr_Format(PyExc_TypeError, "'%.200s' object has no method %s", Py_TYPE(object)->tp_name,
                 name);
    throw PythonError();
  }
  log_.readType(Py_TYPE(object));
  log_.readTypeOf(object);
  return bound(descriptor, object);
}

std::optional<PyRef> Interpreter::callSpecial(PyObject *object, const char *name,
                                              std::initializer_list<PyObject *> arguments) {
  if (!hasWalkedMethod(object, name))
    return std::nullopt;
  log_.readType(Py_TYPE(object));
  log_.readTypeOf(object);
  CallArguments all;
  all.positional.push_back(PyRef::share(object));
  for (PyObject *argument : arguments)
    all.positional.push_back(PyRef::share(argument));
  return call(typeAttribute(Py_TYPE(object), name), std::move(all));
}

} // namespace bifront
