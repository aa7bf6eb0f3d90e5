// Items of lists and tuples under numbers that only the run knows. Numbers, and records of plain
// values, the run reads of a list from before the call. Arrays of numpy are chosen when the graph
// runs; of other objects of the program the walk keeps all that it may be, for what is read of
// their attributes.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/plain_keys.h"
#include "frontend/pointers.h"

#include "capture/symbolic.h"

#include <algorithm>

namespace bifront {
namespace {

constexpr size_t kMostItems = 16;

bool haveOneClass(const std::vector<PyRef> &objects) {
  return std::all_of(objects.begin(), objects.end(), [&](const PyRef &object) {
    return Py_TYPE(object.get()) == Py_TYPE(objects[0].get());
  });
}

// Whether attributes that the class has no part in are found in the object's dict.
bool isPlainObject(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  return type->tp_flags & Py_TPFLAGS_HEAPTYPE && type->tp_dictoffset && hasOrdinaryLookup(type) &&
         !PyType_Check(object) && !isTensor(object) && !isImmutable(object) && !isSequence(object);
}

bool isRecord(PyObject *object) {
  return isPlainObject(object) && hasPlainFields(object) &&
         PyDict_GET_SIZE(checked(PyObject_GenericGetDict(object, nullptr)).get()) > 0;
}

PyRef numbersUpTo(size_t count) {
  std::vector<PyRef> numbers;
  for (size_t i = 0; i < count; ++i)
    numbers.push_back(checked(PyLong_FromSize_t(i)));
  return tupleOf(numbers);
}

} // namespace

// Null where the number has to be known.
PyRef Interpreter::chosenItem(PyObject *sequence, PyObject *number) {
  auto size = static_cast<size_t>(PySequence_Fast_GET_SIZE(sequence));
  bool isUnknownInt = numberType(number) == &PyLong_Type && isUnknownNumber(number);
  if (!host_.policies || !isUnknownInt || size == 0)
    return {};
  if (isReadByRun(sequence))
    return itemReadByRun(sequence, number);
  if (size > kMostItems || isInLongLoop())
    return {};
  std::vector<PyRef> items;
  for (size_t i = 0; i < size; ++i)
    items.push_back(PyRef::share(PySequence_Fast_GET_ITEM(sequence, static_cast<Py_ssize_t>(i))));
  if (!canBeChosen(items))
    return {};
  if (PyList_Check(sequence)) // by its length numbers count from the end
    log_.readContainer(sequence);
  for (size_t i = 0; i < size; ++i)
    items[i] = item(sequence, checked(PyLong_FromSize_t(i)).get());
  return chosenAmong(items, number);
}

// Numbers of one type, or records of one class, perhaps with None among them.
bool Interpreter::isReadByRun(PyObject *sequence) const {
  bool isKnownList = PyList_CheckExact(sequence) || PyTuple_CheckExact(sequence);
  if (!isKnownList || !choiceAt(sequence) || policyOf(itemSite()) == Policy::OneWay ||
      log_.isFresh(sequence) || isChangedBy(log_.writes(), sequence) ||
      (host_.isCopy && host_.isCopy(sequence)) || (host_.isReplaced && host_.isReplaced(sequence)))
    return false;
  std::vector<PyRef> items, records;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence); ++i) {
    PyObject *one = PySequence_Fast_GET_ITEM(sequence, i);
    if (isGraphNumber(one) || pointerOf(one))
      return false;
    items.push_back(PyRef::share(one));
    if (one != Py_None)
      records.push_back(items.back());
  }
  if (auto type = graphTypeOf(items))
    return type->kind != ValueType::Kind::Tensor;
  return !records.empty() && haveOneClass(records) &&
         std::all_of(records.begin(), records.end(),
                     [](const PyRef &one) { return isRecord(one.get()); });
}

PyRef Interpreter::itemReadByRun(PyObject *sequence, PyObject *number) {
  (*host_.policies)[itemSite()]; // another walk can do without
  listsOfRuns_.push_back(PyRef::share(sequence));
  GraphRecorder &graph = host_.recording->graph();
  ValueId list = host_.recording->heldObject(sequence), index = held(number);
  // A negative one counts from the end.
  ValueId sign[] = {index, graph.constantInt(0)};
  ValueId isNegative[] = {graph.scalar(ScalarOp::Lt, sign)};
  ValueId length[] = {graph.scalar(ScalarOp::ToInt, isNegative), graph.lengthOf(list)};
  ValueId sum[] = {index, graph.scalar(ScalarOp::Mul, length)};
  ValueId read = graph.readItem(list, graph.scalar(ScalarOp::Add, sum));
  PyObject **items = PySequence_Fast_ITEMS(sequence);
  PyObject **end = items + PySequence_Fast_GET_SIZE(sequence);
  PyObject *like = *std::find_if(items, end, [](PyObject *one) { return one != Py_None; });
  if (std::find(items, end, Py_None) != end)
    perhapsNone_.insert(read);
  lanes_.note(read, [sample = PyRef::share(like)](const Activation &) { return sample; });
  auto type = graphTypeOf({PyRef::share(like)});
  return type ? unboxed(read, *type, like) : makePointer(read);
}

bool Interpreter::canBeChosen(const std::vector<PyRef> &items) const {
  if (std::all_of(items.begin(), items.end(), [&](const PyRef &one) { return dataOf(one.get()); }))
    return haveOneClass(samplesOf(items));
  auto *type = reinterpret_cast<PyObject *>(Py_TYPE(items[0].get()));
  return haveOneClass(items) && choiceAt(type) && policyOf(type) != Policy::OneWay &&
         !log_.isFresh(type) && std::all_of(items.begin(), items.end(), [&](const PyRef &one) {
           return isPlainObject(one.get()) && !(host_.isCopy && host_.isCopy(one.get())) &&
                  !(host_.isReplaced && host_.isReplaced(one.get()));
         });
}

std::vector<PyRef> Interpreter::samplesOf(const std::vector<PyRef> &items) const {
  std::vector<PyRef> samples;
  for (const PyRef &one : items)
    samples.push_back(dataOf(one.get()));
  return samples;
}

// Null where they cannot be chosen in the run.
PyRef Interpreter::chosenAmong(const std::vector<PyRef> &items, PyObject *number) {
  if (!canBeChosen(items))
    return {};
  PyObject *getItem = operatorFunction("__getitem__");
  if (dataOf(items[0].get()))
    return callPure(getItem, {tupleOf(items).get(), number});
  CallArguments which; // raises for an index out of range
  which.positional = {numbersUpTo(items.size()), PyRef::share(number)};
  ValueId value = recordCall(getItem, which);
  opaque_.noteChoice(value, {items, PyRef::share(number)});
  return makePointer(value);
}

// What is in all of their dicts.
PyRef Interpreter::attributeOfChoice(const Choice &choice, PyObject *name) {
  std::vector<PyRef> values;
  PyTypeObject *type = Py_TYPE(choice.objects[0].get());
  for (const PyRef &object : choice.objects) {
    PyObject *dict = Py_TYPE(object.get()) == type && !typeAttribute(type, name)
                         ? dictOf(object.get())
                         : nullptr;
    if (!dict || !checkedOrAbsent(PyDict_GetItemWithError(dict, name)))
      refuseChoice(choice);
    values.push_back(attribute(object.get(), name));
  }
  bool isOne = std::all_of(values.begin(), values.end(),
                           [&](const PyRef &value) { return value.get() == values[0].get(); });
  PyRef chosen = isOne ? values[0] : chosenAmong(values, choice.number.get());
  if (!chosen)
    refuseChoice(choice);
  return chosen;
}

// The walk is to begin anew, with the numbers of such objects known.
void Interpreter::refuseChoice(const Choice &choice) const {
  throw CannotFork(Py_TYPE(choice.objects[0].get()), Policy::OneWay,
                   "one of several objects is used in another way than by its attributes");
}

void Interpreter::refuseChoice(PyObject *object) const {
  if (const Choice *choice = opaque_.choice(object))
    refuseChoice(*choice);
}

} // namespace bifront
