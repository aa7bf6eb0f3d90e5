#include "speculate/guards.h"

#include "frontend/kinds.h"
#include "frontend/plain_containers.h"
#include "speculate/precheck.h"
#include "support/fail_nth.h"
#include "support/plain_constant.h"

#include <structmember.h>
#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <stdexcept>

namespace bifront {
namespace {

// The number that CPython gives a dict anew with every change of it, or 0 where it does not.
uint64_t versionOf(PyObject *dict) {
#if PY_VERSION_HEX < 0x030C0000
  return reinterpret_cast<PyDictObject *>(dict)->ma_version_tag;
#else
  (void)dict;
  return 0;
#endif
}

unsigned versionOf(PyTypeObject *type) {
  return type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG ? type->tp_version_tag : 0;
}

// Has CPython number the type, which it does at lookups.
unsigned numbered(PyTypeObject *type) {
  typeAttribute(type, "__class__");
  return versionOf(type);
}

// Where a descriptor of `__slots__` has its value, or null for another member.
PyObject **placeOf(PyObject *object, PyObject *descriptor) {
  const PyMemberDef *member = reinterpret_cast<PyMemberDescrObject *>(descriptor)->d_member;
  return member->type == T_OBJECT_EX
             ? reinterpret_cast<PyObject **>(reinterpret_cast<char *>(object) + member->offset)
             : nullptr;
}

// What bifront's own hooks put in the places of PyTorch's and Python's functions during a capture.
bool isHooked(PyObject *owner) {
  PyObject *name = PyDict_Check(owner) ? PyDict_GetItemString(owner, "__name__") : nullptr;
  const char *text = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : nullptr;
  std::string_view module = text ? text : "";
  return module == "builtins" || module == "torch" || module.starts_with("torch.");
}

} // namespace

std::vector<PyRef> itemsOf(PyObject *container) {
  std::vector<PyRef> items;
  PyRef iterator = PyRef::steal(plainType(container)->tp_iter(container));
  while (PyObject *item = iterator ? PyIter_Next(iterator.get()) : nullptr)
    items.push_back(PyRef::steal(item));
  PyErr_Clear(); // changed meanwhile: what was found is compared
  return items;
}

// By the iteration of CPython's own type, whatever a subclass does.
std::vector<PyRef> keysOf(PyObject *dict) {
  std::vector<PyRef> keys;
  if (PyODict_Check(dict)) {
    PyRef iterator = PyRef::steal(PyODict_Type.tp_iter(dict));
    while (PyObject *key = iterator ? PyIter_Next(iterator.get()) : nullptr)
      keys.push_back(PyRef::steal(key));
    PyErr_Clear(); // as above
    return keys;
  }
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t position = 0; PyDict_Next(dict, &position, &key, &value);)
    keys.push_back(PyRef::share(key));
  return keys;
}

PyObject *itemOf(PyObject *dict, PyObject *key) {
  PyObject *value = PyDict_GetItemWithError(dict, key);
  if (!value)
    PyErr_Clear(); // a key that cannot be compared is not there
  return value;
}

bool isNumberOrTensor(PyObject *value) {
  if (PyLong_CheckExact(value)) {
    int overflow = 0;
    PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0;
  }
  if (PyFloat_CheckExact(value) || PyBool_Check(value))
    return true;
  return isPlainTensor(value);
}

PyRef valueIn(const Slot &slot) {
  PyObject *object = slot.object.get(), *key = slot.key.get();
  switch (slot.kind) {
  case Slot::Kind::DictItem: return PyRef::share(itemOf(object, key));
  case Slot::Kind::ListItem: {
    Py_ssize_t index = PyLong_AsSsize_t(key), size = PyList_GET_SIZE(object);
    index += index < 0 ? size : 0;
    return PyRef::share(index >= 0 && index < size ? PyList_GET_ITEM(object, index) : nullptr);
  }
  case Slot::Kind::Length: return PyRef::steal(PyLong_FromSsize_t(PyList_GET_SIZE(object)));
  case Slot::Kind::Cell: return PyRef::share(PyCell_GET(object));
  case Slot::Kind::Member: {
    if (PyObject **place = placeOf(object, key))
      return PyRef::share(*place);
    PyRef value = PyRef::steal(
        Py_TYPE(key)->tp_descr_get(key, object, reinterpret_cast<PyObject *>(Py_TYPE(object))));
    PyErr_Clear(); // not assigned
    return value;
  }
  case Slot::Kind::ClassItem:
    return PyRef::share(itemOf(reinterpret_cast<PyTypeObject *>(object)->tp_dict, key));
  }
  return {};
}

//===- Compiling ---------------------------------------------------------------------------===//

void Guards::know(PyObject *object) {
  if (!object || isImmutable(object))
    return;
  if (PyTuple_Check(object))
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i)
      know(PyTuple_GET_ITEM(object, i));
  else if (PyMethod_Check(object))
    know(PyMethod_GET_SELF(object));
  known_.insert(object);
}

void Guards::compileSlot(const PythonRead &read) {
  PyRef value = valueIn(read.slot);
  if (!sameValue(read.value.get(), value.get()) && !isHooked(read.slot.object.get()))
    throw std::runtime_error("a Python value changed while the function was captured");
  know(read.slot.object.get());
  know(read.slot.key.get());
  know(value.get());
  if (read.slot.kind != Slot::Kind::DictItem) {
    members_.push_back({read.slot, std::move(value)});
    return;
  }
  auto guard = std::find_if(dicts_.begin(), dicts_.end(), [&](const DictGuard &other) {
    return other.dict.get() == read.slot.object.get();
  });
  if (guard == dicts_.end())
    guard = dicts_.insert(dicts_.end(), DictGuard{read.slot.object, {}});
  guard->version = versionOf(guard->dict.get());
  guard->items.push_back({read.slot.key, std::move(value)});
}

// From the front.
static size_t indexOf(const Slot &slot) {
  Py_ssize_t index = PyLong_AsSsize_t(slot.key.get());
  return index < 0 ? index + PyList_GET_SIZE(slot.object.get()) : index;
}

void Guards::compileContainer(PyObject *container, const std::vector<SlotPattern> &inputs) {
  ContainerGuard guard{PyRef::share(container), {}, {}};
  know(container);
  auto isInput = [&](Slot::Kind kind, PyObject *key, size_t index) {
    return std::any_of(inputs.begin(), inputs.end(), [&](const SlotPattern &input) {
      const Slot &slot = input.slot;
      if (slot.kind != kind || slot.object.get() != container)
        return false;
      return key ? sameValue(slot.key.get(), key) : indexOf(slot) == index;
    });
  };
  if (PyDict_Check(container)) {
    guard.version = versionOf(container);
    for (const PyRef &key : keysOf(container)) {
      guard.varies.push_back(isInput(Slot::Kind::DictItem, key.get(), 0));
      guard.items.push_back({key, PyRef::share(itemOf(container, key.get()))});
    }
  } else {
    for (const PyRef &item : itemsOf(container)) {
      guard.varies.push_back(isInput(Slot::Kind::ListItem, nullptr, guard.items.size()));
      guard.items.push_back({{}, item});
    }
  }
  for (size_t i = 0; i < guard.items.size(); ++i) {
    Item &item = guard.items[i];
    know(item.key.get());
    if (guard.varies[i])
      item.value = {};
    know(item.value.get());
  }
  containers_.push_back(std::move(guard));
}

uint32_t Guards::contentsOf(PyTypeObject *type) {
  for (uint32_t i = 0; i < contents_.size(); ++i)
    if (contents_[i].type == type)
      return i;
  ClassContents contents{type, {}, {}};
  for (const Slot &slot : classItems_)
    if (slot.object.get() == reinterpret_cast<PyObject *>(type))
      contents.others.push_back(slot.key);
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t position = 0; PyDict_Next(type->tp_dict, &position, &key, &value);)
    if (!contents.isOther(key))
      contents.items.push_back({PyRef::share(key), PyRef::share(value)});
  contents_.push_back(std::move(contents));
  return contents_.size() - 1;
}

void Guards::compileType(PyTypeObject *type) {
  TypeGuard guard{type, {}, {}};
  guard.version = numbered(type);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(type->tp_mro); ++i) {
    PyObject *base = PyTuple_GET_ITEM(type->tp_mro, i);
    guard.order.push_back(PyRef::share(base));
    auto *baseType = reinterpret_cast<PyTypeObject *>(base);
    if (baseType->tp_flags & Py_TPFLAGS_HEAPTYPE)
      guard.contents.push_back(contentsOf(baseType));
  }
  types_.push_back(std::move(guard));
}

void Guards::compileFunction(PyObject *function) {
  PyObject *keywordDefaults = PyFunction_GET_KW_DEFAULTS(function);
  functions_.push_back({PyRef::share(function), PyRef::share(PyFunction_GET_CODE(function)),
                        PyRef::share(PyFunction_GET_DEFAULTS(function)),
                        PyRef::share(keywordDefaults)});
  if (keywordDefaults)
    compileContainer(keywordDefaults, {});
}

void Guards::compileObject(PyObject *object, PyObject *type) {
  if (PyFunction_Check(object))
    return compileFunction(object);
  know(object);
  ObjectGuard guard{PyRef::share(object), PyRef::share(type)};
  if (Py_TYPE(object)->tp_dictoffset != 0) {
    guard.dict = PyRef::steal(PyObject_GenericGetDict(object, nullptr));
    PyErr_Clear(); // its class shows no dict
#if PY_VERSION_HEX < 0x030D0000
    guard.dictPlace = guard.dict ? _PyObject_GetDictPtr(object) : nullptr;
#endif
  }
  objects_.push_back(std::move(guard));
}

void Guards::compile(const std::vector<PythonRead> &reads, std::vector<SlotPattern> inputs) {
  for (const PythonRead &read : reads)
    if (read.kind == PythonRead::Kind::Slot && read.slot.kind == Slot::Kind::ClassItem)
      classItems_.push_back(read.slot);
  for (const SlotPattern &input : inputs)
    if (input.slot.kind == Slot::Kind::ClassItem)
      classItems_.push_back(input.slot);
  for (const PythonRead &read : reads) {
    PyObject *object = read.slot.object.get();
    switch (read.kind) {
    case PythonRead::Kind::Slot: compileSlot(read); break;
    case PythonRead::Kind::Container: compileContainer(object, inputs); break;
    case PythonRead::Kind::Type: compileType(reinterpret_cast<PyTypeObject *>(object)); break;
    case PythonRead::Kind::TypeOf: compileObject(object, read.value.get()); break;
    case PythonRead::Kind::Answer:
      know(read.slot.key.get());
      answers_.push_back({read.slot.object, read.slot.key, read.value});
      if (!answers_.back().holds())
        throw std::runtime_error("an answer of C changed while the function was captured");
      break;
    }
  }
  // Each tensor's methods, whether or not one of the program's own has been read.
  compileType(reinterpret_cast<PyTypeObject *>(THPVariableClass));
  inputs_ = std::move(inputs);
  numbers_.resize(inputs_.size());
  for (const SlotPattern &input : inputs_) {
    know(input.slot.object.get());
    input.pattern.forEachIdentity([&](PyObject *object) { know(object); });
  }
}

//===- Checking ----------------------------------------------------------------------------===//

bool Guards::DictGuard::holds() const {
  uint64_t now = versionOf(dict.get());
  if (now != 0 && now == version)
    return true;
  for (const Item &item : items)
    if (!sameValue(item.value.get(), itemOf(dict.get(), item.key.get())))
      return false;
  version = now;
  return true;
}

bool Guards::MemberGuard::holds() const {
  PyObject *object = slot.object.get();
  switch (slot.kind) {
  case Slot::Kind::Cell: return sameValue(value.get(), PyCell_GET(object));
  case Slot::Kind::Member:
    if (PyObject **place = placeOf(object, slot.key.get()))
      return sameValue(value.get(), *place);
    [[fallthrough]];
  default: return sameValue(value.get(), valueIn(slot).get());
  }
}

bool Guards::ContainerGuard::compareDict() const {
  PyObject *dict = container.get();
  if (PyDict_GET_SIZE(dict) != static_cast<Py_ssize_t>(items.size()))
    return false;
  auto same = [&](size_t i, PyObject *key, PyObject *now) {
    return sameValue(items[i].key.get(), key) &&
           (varies[i] || sameValue(items[i].value.get(), now));
  };
  if (PyODict_Check(dict)) { // its order is not the dict's
    std::vector<PyRef> keys = keysOf(dict);
    for (size_t i = 0; i < items.size(); ++i)
      if (i >= keys.size() || !same(i, keys[i].get(), itemOf(dict, keys[i].get())))
        return false;
    return true;
  }
  PyObject *key = nullptr, *value = nullptr;
  size_t i = 0;
  for (Py_ssize_t position = 0; PyDict_Next(dict, &position, &key, &value); ++i)
    if (!same(i, key, value))
      return false;
  return true;
}

bool Guards::ContainerGuard::compare() const {
  PyObject *object = container.get();
  if (PyDict_Check(object))
    return compareDict();
  if (PyList_Check(object)) {
    if (PyList_GET_SIZE(object) != static_cast<Py_ssize_t>(items.size()))
      return false;
    for (size_t i = 0; i < items.size(); ++i)
      if (!varies[i] && !sameValue(items[i].value.get(), PyList_GET_ITEM(object, i)))
        return false;
    return true;
  }
  std::vector<PyRef> now = itemsOf(object);
  return std::equal(items.begin(), items.end(), now.begin(), now.end(),
                    [](const Item &item, const PyRef &other) {
                      return sameValue(item.value.get(), other.get());
                    });
}

bool Guards::ContainerGuard::holds() const {
  // An OrderedDict's order is not the dict's.
  bool isDict = PyDict_Check(container.get()) && !PyODict_Check(container.get());
  uint64_t now = isDict ? versionOf(container.get()) : 0;
  if (now != 0 && now == version)
    return true;
  if (!compare())
    return false;
  version = now;
  return true;
}

bool Guards::ClassContents::isOther(PyObject *key) const {
  return std::ranges::any_of(others,
                             [&](const PyRef &other) { return sameValue(other.get(), key); });
}

bool Guards::ClassContents::holds() const {
  auto count = static_cast<Py_ssize_t>(items.size());
  for (const PyRef &other : others)
    count += itemOf(type->tp_dict, other.get()) ? 1 : 0;
  if (PyDict_GET_SIZE(type->tp_dict) != count)
    return false;
  for (const Item &item : items)
    if (itemOf(type->tp_dict, item.key.get()) != item.value.get())
      return false;
  return true;
}

bool Guards::TypeGuard::holds(const std::vector<ClassContents> &all) const {
  unsigned now = versionOf(type);
  if (now != 0 && now == version)
    return true;
  if (PyTuple_GET_SIZE(type->tp_mro) != static_cast<Py_ssize_t>(order.size()))
    return false;
  for (size_t i = 0; i < order.size(); ++i)
    if (PyTuple_GET_ITEM(type->tp_mro, i) != order[i].get())
      return false;
  for (uint32_t i : contents)
    if (!all[i].holds())
      return false;
  version = numbered(type);
  return true;
}

bool Guards::ObjectGuard::holds() const {
  if (reinterpret_cast<PyObject *>(Py_TYPE(object.get())) != type.get())
    return false;
  if (!dict)
    return true;
  if (dictPlace)
    return *dictPlace == dict.get();
  PyRef now = PyRef::steal(PyObject_GenericGetDict(object.get(), nullptr));
  PyErr_Clear(); // no dict any more
  return now.get() == dict.get();
}

bool Guards::FunctionGuard::holds() const {
  PyObject *object = function.get();
  return PyFunction_GET_CODE(object) == code.get() &&
         PyFunction_GET_DEFAULTS(object) == defaults.get() &&
         PyFunction_GET_KW_DEFAULTS(object) == keywordDefaults.get();
}

bool Guards::AnswerGuard::holds() const {
  PyObject *asked = function.get(), *about = argument.get();
  bool isDescriptor = Py_TYPE(asked)->tp_descr_set != nullptr;
  PyRef now = PyRef::steal(
      isDescriptor
          ? Py_TYPE(asked)->tp_descr_get(asked, about, reinterpret_cast<PyObject *>(Py_TYPE(about)))
      : PyTuple_CheckExact(about) ? PyObject_Call(asked, about, nullptr)
                                  : PyObject_CallOneArg(asked, about));
  PyErr_Clear(); // no answer
  return now && sameValue(answer.get(), now.get());
}

bool Guards::hold() const {
  auto holds = [](const auto &guard) { return guard.holds() && !failsOnPurpose(Failure::Check); };
  return std::all_of(types_.begin(), types_.end(),
                     [&](const TypeGuard &guard) {
                       return guard.holds(contents_) && !failsOnPurpose(Failure::Check);
                     }) &&
         std::all_of(objects_.begin(), objects_.end(), holds) &&
         std::all_of(functions_.begin(), functions_.end(), holds) &&
         std::all_of(dicts_.begin(), dicts_.end(), holds) &&
         std::all_of(members_.begin(), members_.end(), holds) &&
         std::all_of(answers_.begin(), answers_.end(), holds) &&
         std::all_of(containers_.begin(), containers_.end(), holds);
}

bool Guards::fetch(PyObject **leaves) const {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    PyRef value = valueIn(inputs_[i].slot);
    if (!inputs_[i].pattern.match(value.get(), leaves) || failsOnPurpose(Failure::Check))
      return false;
    if (inputs_[i].pattern.kind() == ValuePattern::Kind::Number)
      numbers_[i] = std::move(value);
  }
  return true;
}

int Guards::traverse(visitproc visit, void *arg) const {
  auto visitItems = [&](const std::vector<Item> &items) {
    for (const Item &item : items) {
      Py_VISIT(item.key.get());
      Py_VISIT(item.value.get());
    }
    return 0;
  };
  for (const TypeGuard &guard : types_)
    for (const PyRef &type : guard.order)
      Py_VISIT(type.get());
  for (const ClassContents &contents : contents_) {
    if (int stop = visitItems(contents.items))
      return stop;
    for (const PyRef &other : contents.others)
      Py_VISIT(other.get());
  }
  for (const Slot &slot : classItems_) {
    Py_VISIT(slot.object.get());
    Py_VISIT(slot.key.get());
  }
  for (const ObjectGuard &guard : objects_) {
    Py_VISIT(guard.object.get());
    Py_VISIT(guard.type.get());
    Py_VISIT(guard.dict.get());
  }
  for (const FunctionGuard &guard : functions_) {
    Py_VISIT(guard.function.get());
    Py_VISIT(guard.code.get());
    Py_VISIT(guard.defaults.get());
    Py_VISIT(guard.keywordDefaults.get());
  }
  for (const AnswerGuard &guard : answers_) {
    Py_VISIT(guard.function.get());
    Py_VISIT(guard.argument.get());
  }
  for (const DictGuard &guard : dicts_) {
    Py_VISIT(guard.dict.get());
    if (int stop = visitItems(guard.items))
      return stop;
  }
  for (const MemberGuard &guard : members_) {
    Py_VISIT(guard.slot.object.get());
    Py_VISIT(guard.slot.key.get());
    Py_VISIT(guard.value.get());
  }
  for (const ContainerGuard &guard : containers_) {
    Py_VISIT(guard.container.get());
    if (int stop = visitItems(guard.items))
      return stop;
  }
  for (const SlotPattern &input : inputs_) {
    Py_VISIT(input.slot.object.get());
    Py_VISIT(input.slot.key.get());
    if (int stop = input.pattern.traverse(visit, arg))
      return stop;
  }
  return 0;
}

} // namespace bifront
