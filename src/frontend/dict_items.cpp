// Methods of dicts, and items under keys that only the run knows: caches by a length, tables by a
// label, counts of objects. Such an item is read when the graph runs. Whether there is one decides
// the path, where the program says nothing of what is to be in its place. What the call puts there
// is put there behind the run, so that the walk's own dict does not have it.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/plain_keys.h"
#include "frontend/pointers.h"

#include "capture/proxy.h"
#include "capture/recording.h"
#include "capture/symbolic.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

struct NumberedItem {
  int64_t number;
  PyRef value;
};

bool isIntOfGraph(PyObject *key) { return isGraphNumber(key) && numberType(key) == &PyLong_Type; }

bool isNumber(PyObject *key) {
  return isGraphNumber(key) || PyLong_Check(key) || PyFloat_Check(key) || PyComplex_Check(key);
}

// Any number of the type of one that stands in for what varies from call to call.
PyRef numberLike(PyObject *standIn) {
  auto *type = reinterpret_cast<PyObject *>(numberType(standIn));
  return checked(PyObject_CallNoArgs(type));
}

// What was there before the call, under ints or under other keys; what the call has put there is
// found by its key.
std::vector<NumberedItem> itemsLike(PyObject *dict, PyObject *sought) {
  std::vector<NumberedItem> items;
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
    bool isInt = PyLong_CheckExact(key) && fitsGraph(key);
    if (isInt == isIntOfGraph(sought) && !isProxyTensor(value))
      items.push_back({isInt ? PyLong_AsLongLong(key) : -1,
                       isGraphNumber(value) ? numberLike(value) : PyRef::share(value)});
  }
  return items;
}

std::vector<PyRef> valuesOf(const std::vector<NumberedItem> &items) {
  std::vector<PyRef> values;
  for (const NumberedItem &item : items)
    values.push_back(item.value);
  return values;
}

// A tensor of that dtype and number of dimensions that a run can read.
bool isLike(PyObject *object, PyObject *other) {
  return graphTypeOf({PyRef::share(object)}) && isExactTensor(object) && isExactTensor(other) &&
         THPVariable_Unpack(object).scalar_type() == THPVariable_Unpack(other).scalar_type() &&
         THPVariable_Unpack(object).dim() == THPVariable_Unpack(other).dim();
}

// Whether an op can read each of them: numbers of one type, or tensors that differ in sizes only.
bool isReadByRuns(const std::vector<NumberedItem> &items) {
  if (items.empty())
    return false;
  if (graphTypeOf(valuesOf(items)))
    return true;
  return std::ranges::all_of(items, [&](const NumberedItem &item) {
    return isLike(item.value.get(), items[0].value.get());
  });
}

// What the sizes of such a dimension have in common.
struct SizeRule {
  enum class Kind : uint8_t { Constant, Key, Any } kind;
  int64_t constant = 0;
};

SizeRule ruleFor(const std::vector<NumberedItem> &items, int64_t dim) {
  auto sizeOf = [&](const NumberedItem &item) {
    return THPVariable_Unpack(item.value.get()).size(dim);
  };
  if (std::ranges::all_of(items, [&](const auto &item) { return sizeOf(item) == item.number; }))
    return {SizeRule::Kind::Key};
  int64_t first = sizeOf(items[0]);
  if (std::ranges::all_of(items, [&](const auto &item) { return sizeOf(item) == first; }))
    return {SizeRule::Kind::Constant, first};
  return {SizeRule::Kind::Any};
}

// The sizes of a tensor under `key` in the two worlds, and the numbers of the graph that they are.
struct FoundSizes {
  Dims worlds[2];
  std::vector<ValueId> dynamic;
};

// Nothing where a size would have to be known.
std::optional<FoundSizes> sizesUnder(Recording &recording, SymbolicScalar *key,
                                     const std::vector<NumberedItem> &items) {
  FoundSizes sizes;
  for (int64_t d = 0; d < THPVariable_Unpack(items[0].value.get()).dim(); ++d) {
    SizeRule rule = ruleFor(items, d);
    if (rule.kind == SizeRule::Kind::Key && !key->becomeSize())
      return std::nullopt;
    Dim size = rule.kind == SizeRule::Kind::Constant ? Dim::fixed(rule.constant)
               : rule.kind == SizeRule::Kind::Key    ? Dim{{key->intIn(0), key->intIn(1)}}
                                                     : recording.freeSize();
    for (int world : {0, 1})
      sizes.worlds[world].push_back(size.world[world]);
    if (size.isDynamic())
      sizes.dynamic.push_back(rule.kind == SizeRule::Kind::Key ? key->value()
                                                               : recording.graph().constantInt(-1));
  }
  return sizes;
}

} // namespace

// Whether the item under `key` is one for the run to find. Where the program does with the dict
// what can then not be done, the walk begins anew with such keys known.
bool Interpreter::isForTheRun(PyObject *dict, PyObject *key) const {
  return host_.policies && policyOf(dict) != Policy::OneWay &&
         (isIntOfGraph(key) || isKeyOfTheRun(key)) && isPlainDict(dict) && !log_.isFresh(dict) &&
         !(host_.isCopy && host_.isCopy(dict)) && isReadByRuns(itemsLike(dict, key));
}

// An object that differs from call to call, which the run can look up.
bool Interpreter::isKeyOfTheRun(PyObject *key) const {
  auto pointer = pointerOf(key);
  std::vector<PyRef> seen = pointer ? lanes_.seen(*pointer) : std::vector<PyRef>();
  return !seen.empty() && !opaque_.choice(key) &&
         std::ranges::all_of(seen, [](const PyRef &one) { return comparesPlainly(one.get()); });
}

bool Interpreter::isSameKey(PyObject *dict, PyObject *one, PyObject *other) {
  if (one == other)
    return true;
  if (pointerOf(one) || pointerOf(other)) {
    if (pointerOf(one) == pointerOf(other))
      return true;
    throw CannotFork(dict, Policy::OneWay,
                     "a dict is given items under several objects of the run");
  }
  if (!isNumber(one) || !isNumber(other))
    return !isGraphNumber(one) && !isGraphNumber(other) &&
           checked(PyObject_RichCompareBool(one, other, Py_EQ));
  return truth(compare(syntax::CompareOp::Eq, one, other).get());
}

PyRef Interpreter::tensorUnder(ValueId item, PyObject *key, PyObject *dict) {
  auto recording = host_.recording->shared_from_this();
  std::vector<NumberedItem> items = itemsLike(dict, key);
  const at::Tensor &like = THPVariable_Unpack(items[0].value.get());
  SymbolicScalar *number = isGraphNumber(key) ? SymbolicScalar::of(symbolicNumber(key)) : nullptr;
  auto sizes = sizesUnder(*recording, number, items);
  if (!sizes)
    throw CannotFork(dict, Policy::OneWay, "the size of a tensor in a dict depends on a value");
  auto shape =
      ProxyImpl::Shape::of(Extent::contiguous(sizes->worlds[0], like.scalar_type()),
                           Extent::contiguous(sizes->worlds[1], like.scalar_type()), like.device());
  ValueId tensor =
      recording->graph().unbox(item, ValueType::ofTensor(shape.type()), sizes->dynamic);
  recording->noteMerged(tensor); // the program may know it by another name
  recording->noteMemory(tensor, Recording::Memory::Found);
  return checked(THPVariable_Wrap(ProxyImpl::make(recording, tensor, std::move(shape))));
}

// Whether the run finds an item there: a bool of the graph.
PyRef Interpreter::hasItemInTheRun(PyObject *dict, PyObject *key) {
  ValueId has = host_.recording->graph().hasItem(host_.recording->heldObject(dict), held(key));
  return numberForPython(SymbolicScalar::ofValue(host_.recording->shared_from_this(),
                                                 SymbolicScalar::Kind::Bool, has));
}

// The item that is there.
PyRef Interpreter::itemOfTheRun(PyObject *dict, PyObject *key) {
  GraphRecorder &graph = host_.recording->graph();
  ValueId item = graph.readItem(host_.recording->heldObject(dict), held(key));
  std::vector<NumberedItem> items = itemsLike(dict, key);
  if (isExactTensor(items[0].value.get()))
    return tensorUnder(item, key, dict);
  ValueType type = *graphTypeOf(valuesOf(items));
  return numberForPython(SymbolicScalar::ofValue(host_.recording->shared_from_this(), kindOf(type),
                                                 graph.unbox(item, type)));
}

// What is under a key of the run, or what the call has put there under one; nothing where the dict
// is to be asked as ever. `otherwise`: what is to be in the place of one that is not there, if that
// is known.
std::optional<PyRef> Interpreter::numberedItem(PyObject *dict, PyObject *key,
                                               const std::function<PyRef()> &otherwise) {
  bool forTheRun = isForTheRun(dict, key);
  if (!forTheRun && !log_.hasNumbered(dict))
    return std::nullopt;
  std::vector<PythonLog::Put> puts = log_.putInto(dict);
  for (auto put = puts.rbegin(); put != puts.rend(); ++put)
    if (isSameKey(dict, put->key.get(), key))
      return put->value || !otherwise ? put->value : otherwise();
  if (!forTheRun && isIntOfGraph(key))
    throw CannotFork(dict, Policy::OneWay,
                     "a dict has items under numbers of the graph, of several kinds");
  if (!forTheRun)
    return std::nullopt;
  PyRef has = hasItemInTheRun(dict, key);
  auto there = [&] { return itemOfTheRun(dict, key); };
  if (otherwise)
    if (auto item = forkValue(*frame_, Py_TYPE(dict), has.get(), there, otherwise))
      return item;
  if (truth(has.get()))
    return there();
  return otherwise ? otherwise() : PyRef();
}

// False where the key is none of the run.
bool Interpreter::setNumberedItem(PyObject *dict, PyObject *key, PyObject *value) {
  if (!value) {
    if (auto item = numberedItem(dict, key); item && !*item) {
      PyErr_SetObject(PyExc_KeyError, key);
      throw PythonError();
    }
    return takeNumberedItem(dict, key);
  }
  if (!isForTheRun(dict, key))
    return false;
  // What the dict's keys are like is asked all the same.
  host_.recording->graph().hasItem(host_.recording->heldObject(dict), held(key));
  log_.putNumbered(dict, key, value);
  return true;
}

// Of one that is there.
bool Interpreter::takeNumberedItem(PyObject *dict, PyObject *key) {
  if (isForTheRun(dict, key)) {
    log_.putNumbered(dict, key, nullptr);
    return true;
  }
  if (log_.hasNumbered(dict))
    throw CannotFork(dict, Policy::OneWay,
                     "an item is taken out of a dict that has items under numbers of the graph");
  return false;
}

//===- Methods ---------------------------------------------------------------------------===//

std::optional<PyRef> Interpreter::callOfDict(PyObject *dict, std::string_view name,
                                             std::vector<PyRef> &arguments) {
  if (hasWalkedMethod(dict, "__getitem__") || hasWalkedMethod(dict, "__setitem__"))
    return std::nullopt;
  size_t count = arguments.size();
  PyObject *key = count > 1 ? arguments[1].get() : nullptr;
  if (key && !isForTheRun(dict, key)) {
    arguments[1] = keyOf(key);
    key = arguments[1].get();
  }
  auto valueOf = [&](const std::function<PyRef()> &otherwise = {}) -> PyRef {
    if (auto item = numberedItem(dict, key, otherwise))
      return *item;
    PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(dict, key));
    if (value)
      return found(Slot::Kind::DictItem, dict, key, value);
    log_.read(Slot::Kind::DictItem, dict, key, nullptr);
    return otherwise ? otherwise() : PyRef();
  };
  if (name == "__getitem__" && count == 2)
    return dictItem(dict, key);
  if (name == "__setitem__" && count == 3) {
    setItem(dict, key, arguments[2].get());
    return PyRef::share(Py_None);
  }
  if (name == "__delitem__" && count == 2) {
    setItem(dict, key, nullptr);
    return PyRef::share(Py_None);
  }
  if (name == "__contains__" && count == 2)
    return PyRef::share(valueOf() ? Py_True : Py_False);
  if (name == "get" && (count == 2 || count == 3))
    return valueOf([&] { return count == 3 ? arguments[2] : PyRef::share(Py_None); });
  if (name == "setdefault" && (count == 2 || count == 3)) {
    if (PyRef value = valueOf())
      return value;
    PyRef made = count == 3 ? arguments[2] : PyRef::share(Py_None);
    setItem(dict, key, made.get());
    return made;
  }
  if (name == "pop" && (count == 2 || count == 3)) {
    PyRef value = valueOf();
    if (value) {
      if (!takeNumberedItem(dict, key))
        log_.write(Slot::Kind::DictItem, dict, key, nullptr);
      return value;
    }
    if (count == 3)
      return arguments[2];
    PyErr_SetObject(PyExc_KeyError, key);
    throw PythonError();
  }
  return std::nullopt;
}

} // namespace bifront
