#include "speculate/value_pattern.h"

#include "frontend/kinds.h"
#include "speculate/choices.h"
#include "speculate/guards.h"
#include "speculate/object_layout.h"
#include "speculate/precheck.h"
#include "support/plain_constant.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <map>

namespace bifront {
namespace {

// A collections.namedtuple, or what x.max(dim) and its kin return.
bool isNamedTuple(PyObject *value) {
  auto *type = reinterpret_cast<PyObject *>(Py_TYPE(value));
  return PyTuple_Check(value) && !PyTuple_CheckExact(value) &&
         (PyObject_HasAttrString(type, "_fields") ||
          PyObject_HasAttrString(type, "n_sequence_fields"));
}

PyObject *makeNamedTuple(PyObject *type, PyObject *items) {
  return PyObject_HasAttrString(type, "_make") ? PyObject_CallMethod(type, "_make", "(O)", items)
                                               : PyObject_CallOneArg(type, items);
}

bool isNumber(PyObject *value) {
  return PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyBool_Check(value);
}

// An object that the graph may know by its class.
bool isOfProgram(PyObject *value) {
  return (Py_TYPE(value)->tp_flags & Py_TPFLAGS_HEAPTYPE) && !PyType_Check(value) &&
         !THPVariable_Check(value);
}

// Of a pattern: all of its keys are found without Python code.
bool hasPlainKeys(PyObject *dict) {
  PyObject *key = nullptr, *item = nullptr;
  for (Py_ssize_t position = 0; PyDict_Next(dict, &position, &key, &item);)
    if (!isPlainConstant(key))
      return false;
  return true;
}

bool isPlainDict(PyObject *value) { return PyDict_CheckExact(value) && hasPlainKeys(value); }

bool isPlainDefaultDict(PyObject *value) {
  return Py_IS_TYPE(value, defaultDictType()) && hasPlainKeys(value);
}

PyRef factoryOf(PyObject *defaultDict) {
  PyRef factory = PyRef::steal(PyObject_GetAttrString(defaultDict, "default_factory"));
  PyErr_Clear(); // no memory: as if it could be any
  return factory;
}

// Somebody may reach the object by another way than what holds it.
bool hasWeakReferences(PyObject *object) {
  Py_ssize_t offset = Py_TYPE(object)->tp_weaklistoffset;
  return offset != 0 &&
         *reinterpret_cast<PyObject **>(reinterpret_cast<char *>(object) + offset) != nullptr;
}

// An instance that is no more than its attributes, so that a copy can stand for it.
bool isPlainInstance(PyObject *value) {
  PyTypeObject *type = Py_TYPE(value);
  if (!isClass(type) || solidBase(type) != &PyBaseObject_Type || type->tp_finalize ||
      hasWeakReferences(value))
    return false;
  PyObject *dict = dictOf(value);
  return type->tp_dictoffset ? dict && isPlainDict(dict) : true;
}

bool isTuple(PyObject *value) {
  return (PyTuple_CheckExact(value) && PyTuple_GET_SIZE(value) > 0) || isNamedTuple(value);
}

bool isDeque(PyObject *value) { return Py_IS_TYPE(value, dequeType()); }

PyRef longestOf(PyObject *deque) {
  PyRef longest = PyRef::steal(PyObject_GetAttrString(deque, "maxlen"));
  PyErr_Clear(); // no memory: as if it could be any
  return longest;
}

// Borrowed from a tuple, list or deque.
PyObject *itemAt(PyObject *sequence, Py_ssize_t i) {
  if (PyList_Check(sequence) || PyTuple_Check(sequence))
    return PySequence_Fast_GET_ITEM(sequence, i);
  return PyRef::steal(PySequence_GetItem(sequence, i)).get();
}

ValuePath inside(const ValuePath &path, size_t position) {
  ValuePath longer = path;
  longer.push_back(static_cast<uint32_t>(position));
  return longer;
}

} // namespace

bool isNest(PyObject *value) {
  return isTuple(value) || PyList_CheckExact(value) || isPlainDict(value) || isDeque(value) ||
         isPlainDefaultDict(value) || isPlainInstance(value);
}

bool isPlainTensor(PyObject *value) {
  return THPVariable_CheckExact(value) && isOrdinaryTensor(THPVariable_Unpack(value));
}

//===- Describing --------------------------------------------------------------------------===//

ValuePattern ValuePattern::describe(PyObject *value, const ValuePath &path, Leaves &leaves) {
  ValuePattern pattern;
  if (!value) {
    pattern.kind_ = Kind::Absent;
    return pattern;
  }
  leaves.full = leaves.full || leaves.room == 0 || path.size() > leaves.deepest;
  --leaves.room;
  auto leafOf = [&](PyObject *object) {
    leaves.objects.push_back(object);
    leaves.paths.push_back(path);
    return static_cast<uint32_t>(leaves.objects.size() - 1);
  };
  auto varies = [&] { return leaves.varies && leaves.varies(path); };
  pattern.object_ = PyRef::share(reinterpret_cast<PyObject *>(Py_TYPE(value)));
  auto known = std::find(leaves.objects.begin(), leaves.objects.end(), value);
  bool isKnown = known != leaves.objects.end();
  if (leaves.isTensor(value)) {
    pattern.kind_ = Kind::Tensor;
    pattern.index_ = isKnown ? known - leaves.objects.begin() : leafOf(value);
    return pattern;
  }
  if (isChoice(value) && leaves.isChoice && leaves.isChoice(path)) {
    pattern.kind_ = Kind::Choice;
    pattern.index_ = leafOf(value);
    return pattern;
  }
  if (isNumber(value) && fitsGraph(value) && varies()) {
    pattern.kind_ = Kind::Number;
    pattern.index_ = leafOf(value);
    return pattern;
  }
  if (isKnown && !isPlainConstant(value)) {
    pattern.kind_ = Kind::Again;
    pattern.index_ = known - leaves.objects.begin();
    return pattern;
  }
  bool isContainer = isTuple(value) || PyList_CheckExact(value) || isPlainDict(value) ||
                     (leaves.copiesObjects && (isDeque(value) || isPlainDefaultDict(value)));
  bool isObject = !isContainer && isOfProgram(value) && varies();
  if (leaves.full || (!isContainer && !isObject) ||
      (isObject && leaves.copiesObjects && !isPlainInstance(value))) {
    pattern.kind_ = isPlainConstant(value) ? Kind::Constant : Kind::Identity;
    pattern.object_ = PyRef::share(value);
    return pattern;
  }
  pattern.index_ = leafOf(value);
  if (isObject && !leaves.copiesObjects) {
    pattern.kind_ = Kind::Object;
    leaves.pointers.push_back(pattern.index_);
  } else if (isObject) {
    pattern.describeInstance(value, path, leaves);
  } else if (PyDict_Check(value)) {
    pattern.describeDict(value, path, leaves);
  } else {
    pattern.describeItems(value, path, leaves);
  }
  return pattern;
}

void ValuePattern::describeItems(PyObject *value, const ValuePath &path, Leaves &leaves) {
  kind_ = PyTuple_Check(value) ? Kind::Tuple : PyList_Check(value) ? Kind::List : Kind::Deque;
  if (kind_ == Kind::Deque)
    keys_.push_back(longestOf(value));
  for (Py_ssize_t i = 0; i < Py_SIZE(value) && !leaves.full; ++i)
    children_.push_back(describe(itemAt(value, i), inside(path, i), leaves));
}

void ValuePattern::describeDict(PyObject *dict, const ValuePath &path, Leaves &leaves) {
  kind_ = Kind::Dict;
  PyObject *key = nullptr, *item = nullptr;
  for (Py_ssize_t position = 0; !leaves.full && PyDict_Next(dict, &position, &key, &item);) {
    keys_.push_back(PyRef::share(key));
    children_.push_back(describe(item, inside(path, children_.size()), leaves));
  }
  if (!PyDict_CheckExact(dict))
    keys_.push_back(factoryOf(dict));
}

void ValuePattern::describeInstance(PyObject *value, const ValuePath &path, Leaves &leaves) {
  kind_ = Kind::Instance;
  for (PyObject *descriptor : memberDescriptors(Py_TYPE(value))) {
    keys_.push_back(PyRef::share(descriptor));
    children_.push_back(
        describe(*memberPlace(value, descriptor), inside(path, children_.size()), leaves));
  }
  if (PyObject *dict = dictOf(value))
    children_.push_back(describe(dict, inside(path, children_.size()), leaves));
}

//===- Matching ----------------------------------------------------------------------------===//

bool ValuePattern::match(PyObject *value, PyObject **leaves) const {
  return matches(value, leaves, nullptr);
}

bool ValuePattern::differsInValues(PyObject *value, const ValuePath &path, PyObject **leaves,
                                   DifferentPaths &different) const {
  Differing differing{path, different};
  return matches(value, leaves, &differing);
}

// Of one value, which is not what the pattern says.
bool ValuePattern::differsInValue(PyObject *value, Differing &differing) const {
  bool sameType = kind_ != Kind::Number && Py_TYPE(value) == Py_TYPE(object_.get());
  bool isNumberToo = sameType && isNumber(value) && fitsGraph(value);
  bool isObjectToo = sameType && kind_ == Kind::Identity && isOfProgram(value);
  if (isNumberToo || isObjectToo) {
    differing.different.values.push_back(differing.path);
    return true;
  }
  bool wasChoice = kind_ == Kind::Number || isChoice(object_.get());
  if (wasChoice && isChoice(value))
    differing.different.choices.push_back(differing.path);
  return wasChoice && isChoice(value);
}

bool ValuePattern::matches(PyObject *value, PyObject **leaves, Differing *differing) const {
  if (!value || kind_ == Kind::Absent)
    return !value && kind_ == Kind::Absent;
  auto isNew = [&] { return !leaves[index_] || leaves[index_] == value; };
  switch (kind_) {
  case Kind::Tensor:
    if (Py_TYPE(value) != type() || !isNew())
      return false;
    leaves[index_] = value;
    return true;
  case Kind::Number:
    leaves[index_] = value;
    return (Py_TYPE(value) == type() && fitsGraph(value)) ||
           (differing && differsInValue(value, *differing));
  case Kind::Object:
    if (Py_TYPE(value) != type() || !isNew())
      return false;
    leaves[index_] = value;
    return true;
  case Kind::Choice: leaves[index_] = value; return isChoice(value);
  case Kind::Constant:
    return sameConstant(object_.get(), value) || (differing && differsInValue(value, *differing));
  case Kind::Identity:
    return object_.get() == value || (differing && differsInValue(value, *differing));
  case Kind::Again: return leaves[index_] == value;
  case Kind::Absent: break;
  case Kind::Tuple:
  case Kind::List:
  case Kind::Deque:
  case Kind::Dict:
  case Kind::Instance:
    if (Py_TYPE(value) != type())
      return false;
    leaves[index_] = value;
    return kind_ == Kind::Dict       ? dictMatches(value, leaves, differing)
           : kind_ == Kind::Instance ? instanceMatches(value, leaves, differing)
                                     : itemsMatch(value, leaves, differing);
  }
  return false;
}

bool ValuePattern::childMatches(size_t i, PyObject *value, PyObject **leaves,
                                Differing *differing) const {
  if (!differing)
    return children_[i].matches(value, leaves, nullptr);
  differing->path.push_back(static_cast<uint32_t>(i));
  bool holds = children_[i].matches(value, leaves, differing);
  differing->path.pop_back();
  return holds;
}

bool ValuePattern::itemsMatch(PyObject *value, PyObject **leaves, Differing *differing) const {
  if (Py_SIZE(value) != static_cast<Py_ssize_t>(children_.size()) ||
      (kind_ == Kind::Deque && !sameValue(keys_[0].get(), longestOf(value).get())))
    return false;
  for (size_t i = 0; i < children_.size(); ++i)
    if (!childMatches(i, itemAt(value, static_cast<Py_ssize_t>(i)), leaves, differing))
      return false;
  return true;
}

bool ValuePattern::dictMatches(PyObject *dict, PyObject **leaves, Differing *differing) const {
  if (PyDict_GET_SIZE(dict) != static_cast<Py_ssize_t>(children_.size()) ||
      (keys_.size() > children_.size() && keys_.back().get() != factoryOf(dict).get()))
    return false;
  PyObject *key = nullptr, *item = nullptr;
  size_t i = 0;
  for (Py_ssize_t position = 0; PyDict_Next(dict, &position, &key, &item); ++i)
    if (!sameValue(keys_[i].get(), key) || !childMatches(i, item, leaves, differing))
      return false;
  return true;
}

bool ValuePattern::instanceMatches(PyObject *value, PyObject **leaves, Differing *differing) const {
  if (hasWeakReferences(value))
    return false;
  for (size_t i = 0; i < keys_.size(); ++i)
    if (!childMatches(i, *memberPlace(value, keys_[i].get()), leaves, differing))
      return false;
  return keys_.size() == children_.size() ||
         childMatches(keys_.size(), dictOf(value), leaves, differing);
}

//===- Rebuilding --------------------------------------------------------------------------===//

PyObject *ValuePattern::rebuild(std::vector<PyRef> &leaves) const {
  switch (kind_) {
  case Kind::Tensor:
  case Kind::Object:
  case Kind::Choice:
  case Kind::Number: return Py_NewRef(leaves[index_].get());
  case Kind::Constant:
  case Kind::Identity: return Py_NewRef(object_.get());
  case Kind::Again:
    if (!leaves[index_])
      PyErr_SetString(PyExc_RuntimeError, "a named tuple among the inputs contains itself");
    return Py_XNewRef(leaves[index_].get());
  case Kind::Tuple:
  case Kind::List: return rebuildItems(leaves);
  case Kind::Deque: return rebuildDeque(leaves);
  case Kind::Dict: return rebuildDict(leaves);
  case Kind::Instance: return rebuildInstance(leaves);
  case Kind::Absent: break;
  }
  return nullptr;
}

PyObject *ValuePattern::rebuildItems(std::vector<PyRef> &leaves) const {
  auto size = static_cast<Py_ssize_t>(children_.size());
  PyRef nest = PyRef::steal(kind_ == Kind::List ? PyList_New(size) : PyTuple_New(size));
  if (!nest)
    return nullptr;
  bool isNamed = kind_ == Kind::Tuple && type() != &PyTuple_Type;
  if (!isNamed)
    leaves[index_] = nest;
  for (Py_ssize_t i = 0; i < size; ++i) {
    PyObject *child = children_[i].rebuild(leaves);
    if (!child)
      return nullptr;
    kind_ == Kind::List ? PyList_SET_ITEM(nest.get(), i, child)
                        : PyTuple_SET_ITEM(nest.get(), i, child);
  }
  if (isNamed)
    leaves[index_] = nest = PyRef::steal(makeNamedTuple(object_.get(), nest.get()));
  return nest.release();
}

PyObject *ValuePattern::rebuildDeque(std::vector<PyRef> &leaves) const {
  PyRef deque = leaves[index_] =
      PyRef::steal(PyObject_CallFunction(object_.get(), "(()O)", keys_[0].get()));
  for (size_t i = 0; deque && i < children_.size(); ++i) {
    PyRef child = PyRef::steal(children_[i].rebuild(leaves));
    if (!child || !PyRef::steal(PyObject_CallMethod(deque.get(), "append", "O", child.get())))
      return nullptr;
  }
  return deque.release();
}

PyObject *ValuePattern::rebuildDict(std::vector<PyRef> &leaves) const {
  bool isPlain = type() == &PyDict_Type;
  PyRef dict = leaves[index_] =
      PyRef::steal(isPlain ? PyDict_New() : PyObject_CallOneArg(object_.get(), keys_.back().get()));
  for (size_t i = 0; dict && i < children_.size(); ++i) {
    PyRef child = PyRef::steal(children_[i].rebuild(leaves));
    if (!child || PyDict_SetItem(dict.get(), keys_[i].get(), child.get()) < 0)
      return nullptr;
  }
  return dict.release();
}

// No code of its class runs.
PyObject *ValuePattern::rebuildInstance(std::vector<PyRef> &leaves) const {
  PyRef object = leaves[index_] = PyRef::steal(type()->tp_alloc(type(), 0));
  if (!object)
    return nullptr;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (children_[i].kind_ == Kind::Absent)
      continue;
    PyObject *child = children_[i].rebuild(leaves);
    if (!child)
      return nullptr;
    Py_XSETREF(*memberPlace(object.get(), keys_[i].get()), child);
  }
  if (keys_.size() < children_.size()) {
    PyRef dict = PyRef::steal(children_.back().rebuild(leaves));
    if (!dict || PyObject_GenericSetDict(object.get(), dict.get(), nullptr) < 0)
      return nullptr;
  }
  return object.release();
}

void ValuePattern::forEachIdentity(const std::function<void(PyObject *)> &use) const {
  if (kind_ == Kind::Identity)
    use(object_.get());
  for (const ValuePattern &child : children_)
    child.forEachIdentity(use);
}

int ValuePattern::traverse(visitproc visit, void *arg) const {
  Py_VISIT(object_.get());
  for (const PyRef &key : keys_)
    Py_VISIT(key.get());
  for (const ValuePattern &child : children_)
    if (int stop = child.traverse(visit, arg))
      return stop;
  return 0;
}

//===- Comparing ---------------------------------------------------------------------------===//

namespace {

// With all numbers and objects as leaves, unless `varies` says which.
Leaves leavesOfPlace() {
  Leaves leaves;
  leaves.isTensor = isPlainTensor;
  leaves.varies = [](const ValuePath &) { return true; };
  leaves.ofSlot();
  return leaves;
}

} // namespace

std::optional<ValueDifference> compareValues(PyObject *before, PyObject *now) {
  if (!before || !now || Py_TYPE(before) != Py_TYPE(now))
    return std::nullopt;
  if (isNumberOrTensor(now))
    return ValueDifference();
  if (!isNest(before) || !isNest(now))
    return std::nullopt;
  Leaves ofBefore = leavesOfPlace(), ofNow = leavesOfPlace();
  ValuePattern::describe(before, {}, ofBefore);
  ValuePattern::describe(now, {}, ofNow);
  if (ofBefore.full || ofNow.full)
    return std::nullopt;
  ValueDifference difference;
  std::map<ValuePath, PyObject *> known;
  for (size_t i = 0; i < ofBefore.objects.size(); ++i) {
    PyObject *object = ofBefore.objects[i];
    known.emplace(ofBefore.paths[i], object);
    if (isNest(object))
      difference.replaced.push_back(PyRef::share(object));
  }
  for (size_t i = 0; i < ofNow.objects.size(); ++i) {
    PyObject *object = ofNow.objects[i];
    auto was = known.find(ofNow.paths[i]);
    bool varies = was != known.end() && !ofNow.paths[i].empty() &&
                  Py_TYPE(was->second) == Py_TYPE(object) && !sameValue(was->second, object);
    if (varies && (isNumber(object) || isOfProgram(object)))
      difference.paths.push_back(ofNow.paths[i]);
  }
  Leaves some = leavesOfPlace();
  some.varies = [&](const ValuePath &path) {
    return path.empty() || std::find(difference.paths.begin(), difference.paths.end(), path) !=
                               difference.paths.end();
  };
  ValuePattern pattern = ValuePattern::describe(before, {}, some);
  std::vector<PyObject *> leaves(some.objects.size());
  difference.wholly = pattern.match(now, leaves.data());
  return difference;
}

} // namespace bifront
