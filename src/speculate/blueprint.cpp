#include "speculate/blueprint.h"

#include "frontend/kinds.h"
#include "frontend/later.h"
#include "frontend/output.h"
#include "frontend/stacked_items.h"
#include "speculate/object_layout.h"
#include "support/plain_constant.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace bifront {
namespace {

constexpr int kDeepest = 500; // of the C stack

[[noreturn]] void refuse(const std::string &what) {
  throw CannotMake("the function makes " + what + ", which outlives the call");
}

PyRef orThrow(PyObject *made) {
  if (!made) {
    PyErr_Clear(); // told by what is thrown
    throw CannotMake("an object that the function makes cannot be looked into");
  }
  return PyRef::steal(made);
}

bool isPlainException(PyTypeObject *base) {
  return PyType_IsSubtype(base, reinterpret_cast<PyTypeObject *>(PyExc_BaseException)) &&
         base->tp_basicsize == static_cast<Py_ssize_t>(sizeof(PyBaseExceptionObject));
}

bool isSize(PyObject *value) { return std::string_view(Py_TYPE(value)->tp_name) == "torch.Size"; }

bool isStructSequence(PyObject *value) {
  return PyTuple_Check(value) && Py_TYPE(value)->tp_base == &PyTuple_Type &&
         PyDict_GetItemString(Py_TYPE(value)->tp_dict, "n_sequence_fields");
}

bool isEnum(PyTypeObject *type) {
  static PyObject *hash = [] {
    PyRef module = PyRef::steal(PyImport_ImportModule("enum"));
    PyRef base = PyRef::steal(PyObject_GetAttrString(module.get(), "Enum"));
    return PyObject_GetAttrString(base.get(), "__hash__");
  }();
  return typeAttribute(type, "__hash__") == hash;
}

// Hashes and compares without code of the program.
bool isSafeKey(PyObject *key) {
  PyTypeObject *type = Py_TYPE(key);
  if (PyTuple_CheckExact(key) || PyFrozenSet_CheckExact(key)) {
    if (PyFrozenSet_CheckExact(key))
      return true; // of keys that are in a set already
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i)
      if (!isSafeKey(PyTuple_GET_ITEM(key, i)))
        return false;
    return true;
  }
  return isEnum(type) || !(type->tp_flags & Py_TPFLAGS_HEAPTYPE) ||
         type->tp_hash == PyBaseObject_Type.tp_hash || THPVariable_Check(key) || PyType_Check(key);
}

} // namespace

//===- Describing --------------------------------------------------------------------------===//

uint32_t Blueprint::add(PyObject *value, const Origin &origin) {
  return addChild(value, nullptr, origin);
}

// `holder`: the container or object that the value was found in.
uint32_t Blueprint::addChild(PyObject *value, PyObject *holder, const Origin &origin) {
  if (auto found = known_.find(value); found != known_.end())
    return found->second;
  if (depth_ > kDeepest)
    refuse("objects that are nested too deeply");
  struct Deeper {
    int &depth;
    explicit Deeper(int &depth) : depth(depth) { ++depth; }
    ~Deeper() { --depth; }
  } deeper(depth_);
  auto newNode = [&] {
    uint32_t index = nodes_.size();
    nodes_.emplace_back();
    known_.emplace(value, index);
    alive_.push_back(PyRef::share(value));
    return index;
  };
  auto newAtOnce = [&](Node node) {
    if (auto found = known_.find(value); found != known_.end())
      return found->second; // by way of something in it
    uint32_t index = newNode();
    nodes_[index] = std::move(node);
    atOnce_.push_back(index);
    return index;
  };
  if (stackedItems(value))
    refuseStacked(value);
  if (isStandardStream(value))
    throw CannotMake("sys.stdout or sys.stderr is kept");
  if (instanceDicts_.contains(value))
    refuse("the `__dict__` of an object");
  // Only a made object refers to it, so it has been made with that. (One reference is the
  // holder's.)
  bool madeInside =
      holder && Py_REFCNT(value) == 1 && (isMutableContainer(value) || isClass(Py_TYPE(value)));
  if (std::optional<uint32_t> leaf = origin.leafOf(value)) {
    uint32_t index = newNode();
    nodes_[index].form = Form::Leaf;
    nodes_[index].leaf = *leaf;
    return index;
  }
  if (isLater(value)) {
    Node node;
    node.form = Form::Call;
    node.object = PyRef::share(laterFunction(value));
    PyObject *arguments = laterArguments(value);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments); ++i)
      node.items.push_back(addChild(PyTuple_GET_ITEM(arguments, i), value, origin));
    return newAtOnce(std::move(node));
  }
  if (madeInside || origin.isFresh(value)) {
    Node node;
    uint32_t index = newNode();
    nodes_[index].form = Form::Object; // not itself, whatever refers to it
    if (describeMutable(value, node, origin)) {
      nodes_[index] = std::move(node);
      empty_.push_back(index);
      return index;
    }
    known_.erase(value);
    if (!describeImmutable(value, node, origin))
      refuse(std::string("a ") + Py_TYPE(value)->tp_name);
    return newAtOnce(std::move(node));
  }
  // An immutable object is made anew where something in it is.
  Node node;
  if (describeImmutable(value, node, origin) && !isConstant(node))
    return newAtOnce(std::move(node));
  if ((isMutableContainer(value) || isClass(Py_TYPE(value))) && origin.isDoubtful &&
      origin.isDoubtful(value))
    throw CannotMake(std::string("who has made a ") + Py_TYPE(value)->tp_name + " is not known");
  uint32_t index = newNode();
  nodes_[index].object = PyRef::share(value);
  return index;
}

void Blueprint::finish() {
  known_.clear();
  alive_.clear();
  instanceDicts_.clear();
}

bool Blueprint::isConstant(const Node &node) const {
  auto isItself = [&](uint32_t child) { return nodes_[child].form == Form::Itself; };
  return std::all_of(node.items.begin(), node.items.end(), isItself) &&
         std::all_of(node.attributes.begin(), node.attributes.end(),
                     [&](const auto &attribute) { return isItself(attribute.second); });
}

bool Blueprint::describeImmutable(PyObject *value, Node &node, const Origin &origin) {
  node.object = PyRef::share(reinterpret_cast<PyObject *>(Py_TYPE(value)));
  if (PyTuple_Check(value)) {
    bool isLike = isSize(value) || isStructSequence(value);
    if (!isLike && solidBase(Py_TYPE(value)) != &PyTuple_Type)
      return false;
    node.form = isLike ? Form::TupleLike : Form::Tuple;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i)
      node.items.push_back(addChild(PyTuple_GET_ITEM(value, i), value, origin));
    if (!isLike && !PyTuple_CheckExact(value))
      describeAttributes(value, node, origin);
    return true;
  }
  if (PyFrozenSet_CheckExact(value)) {
    node.form = Form::FrozenSet;
    addItems(orThrow(PyObject_GetIter(value)).get(), value, node, origin);
    return true;
  }
  if (PySlice_Check(value)) {
    node.form = Form::Slice;
    auto *slice = reinterpret_cast<PySliceObject *>(value);
    for (PyObject *part : {slice->start, slice->stop, slice->step})
      node.items.push_back(addChild(part, value, origin));
    return true;
  }
  if (PyMethod_Check(value)) {
    node.form = Form::Method;
    node.items.push_back(addChild(PyMethod_GET_FUNCTION(value), value, origin));
    node.items.push_back(addChild(PyMethod_GET_SELF(value), value, origin));
    return true;
  }
  return false;
}

void Blueprint::addItems(PyObject *iterator, PyObject *holder, Node &node, const Origin &origin) {
  while (PyRef item = PyRef::steal(PyIter_Next(iterator))) {
    PyObject *borrowed = item.get();
    item = {}; // its holder keeps it, so that its references can be counted
    if (!isSafeKey(borrowed) && PyAnySet_Check(holder))
      refuse("a set of objects with a `__hash__` of their own");
    node.items.push_back(addChild(borrowed, holder, origin));
  }
  if (PyErr_Occurred())
    orThrow(nullptr);
}

bool Blueprint::describeMutable(PyObject *value, Node &node, const Origin &origin) {
  PyTypeObject *type = Py_TYPE(value), *base = solidBase(type);
  node.object = PyRef::share(reinterpret_cast<PyObject *>(type));
  if (PyCell_Check(value)) {
    node.form = Form::Cell;
    if (PyObject *content = PyCell_GET(value))
      node.items.push_back(addChild(content, value, origin));
    return true;
  }
  if (PyFunction_Check(value)) {
    describeFunction(value, node, origin);
    return true;
  }
  if (base == &PyList_Type) {
    node.form = Form::List;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); ++i)
      node.items.push_back(addChild(PyList_GET_ITEM(value, i), value, origin));
  } else if (base == &PyDict_Type || base == &PyODict_Type || base == defaultDictType()) {
    node.form = Form::Dict;
    PyRef keys = orThrow(PyODict_Check(value) ? PySequence_List(value) : PyDict_Keys(value));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keys.get()); ++i) {
      PyObject *key = PyList_GET_ITEM(keys.get(), i);
      if (!isSafeKey(key))
        refuse("a dict with keys that have a `__hash__` of their own");
      node.keys.push_back(add(key, origin));
      node.items.push_back(addChild(PyDict_GetItemWithError(value, key), value, origin));
    }
  } else if (base == &PySet_Type) {
    node.form = Form::Set;
    addItems(orThrow(PySet_Type.tp_iter(value)).get(), value, node, origin);
  } else if (base == dequeType()) {
    node.form = Form::Deque;
    PyRef longest = orThrow(PyObject_GetAttrString(value, "maxlen"));
    node.keys.push_back(add(longest.get(), origin));
    addItems(orThrow(dequeType()->tp_iter(value)).get(), value, node, origin);
  } else if (isPlainException(base)) {
    auto *exception = reinterpret_cast<PyBaseExceptionObject *>(value);
    if (exception->traceback || exception->context || exception->cause || exception->notes)
      refuse("an exception that was raised");
    node.form = Form::Object;
    node.items.push_back(add(exception->args, origin));
  } else if (base == &PyBaseObject_Type && isClass(type)) {
    node.form = Form::Object;
  } else {
    return false;
  }
  describeAttributes(value, node, origin);
  return true;
}

void Blueprint::describeAttributes(PyObject *value, Node &node, const Origin &origin) {
  PyTypeObject *type = Py_TYPE(value);
  for (PyObject *descriptor : memberDescriptors(type))
    if (PyObject *content = *memberPlace(value, descriptor))
      node.members.emplace_back(PyRef::share(descriptor), addChild(content, value, origin));
  if (type->tp_dictoffset == 0)
    return;
  PyRef dict = orThrow(PyObject_GenericGetDict(value, nullptr));
  if (known_.contains(dict.get()))
    refuse("the `__dict__` of an object");
  instanceDicts_.insert(dict.get());
  PyObject *name = nullptr, *content = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(dict.get(), &at, &name, &content);)
    node.attributes.emplace_back(PyRef::share(name), addChild(content, value, origin));
}

// Behind its closure and defaults; what a `def` gives it otherwise is a constant.
void Blueprint::describeFunction(PyObject *value, Node &node, const Origin &origin) {
  auto *function = reinterpret_cast<PyFunctionObject *>(value);
  node.form = Form::Function;
  node.object = PyRef::share(function->func_code);
  for (PyObject *part :
       {function->func_globals, function->func_qualname, function->func_name, function->func_doc,
        function->func_module, function->func_defaults, function->func_kwdefaults,
        function->func_closure, PyFunction_GetAnnotations(value)})
    node.items.push_back(addChild(part ? part : Py_None, value, origin));
  PyObject *name = nullptr, *content = nullptr;
  for (Py_ssize_t at = 0;
       function->func_dict && PyDict_Next(function->func_dict, &at, &name, &content);)
    node.attributes.emplace_back(PyRef::share(name), addChild(content, value, origin));
}

//===- Making ------------------------------------------------------------------------------===//

PyRef Blueprint::createAtOnce(const Node &node, const std::vector<PyRef> &made) const {
  auto item = [&](size_t i) { return made[node.items[i]].get(); };
  auto tupleOfItems = [&] {
    PyRef tuple = PyRef::steal(PyTuple_New(static_cast<Py_ssize_t>(node.items.size())));
    for (size_t i = 0; tuple && i < node.items.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(item(i)));
    return tuple;
  };
  auto *type = reinterpret_cast<PyTypeObject *>(node.object.get());
  switch (node.form) {
  case Form::Slice: return PyRef::steal(PySlice_New(item(0), item(1), item(2)));
  case Form::Method: return PyRef::steal(PyMethod_New(item(0), item(1)));
  case Form::FrozenSet: {
    PyRef tuple = tupleOfItems();
    return PyRef::steal(tuple ? PyFrozenSet_New(tuple.get()) : nullptr);
  }
  case Form::Call: {
    PyRef tuple = tupleOfItems();
    return PyRef::steal(tuple ? PyObject_CallObject(node.object.get(), tuple.get()) : nullptr);
  }
  case Form::TupleLike: {
    PyRef tuple = tupleOfItems();
    return PyRef::steal(tuple ? PyObject_CallOneArg(node.object.get(), tuple.get()) : nullptr);
  }
  default: break;
  }
  PyRef tuple = tupleOfItems();
  if (!tuple || type == &PyTuple_Type)
    return tuple;
  PyRef arguments = PyRef::steal(PyTuple_Pack(1, tuple.get()));
  return PyRef::steal(arguments ? PyTuple_Type.tp_new(type, arguments.get(), nullptr) : nullptr);
}

PyRef Blueprint::createEmpty(const Node &node) const {
  auto *type = reinterpret_cast<PyTypeObject *>(node.object.get());
  switch (node.form) {
  case Form::Cell: return PyRef::steal(PyCell_New(nullptr));
  case Form::Function: // its globals and name are constants
    return PyRef::steal(PyFunction_NewWithQualName(
        node.object.get(), nodes_[node.items[0]].object.get(), nodes_[node.items[1]].object.get()));
  default: break;
  }
  PyTypeObject *base = solidBase(type);
  if (base == &PyBaseObject_Type) // whose tp_new would ask for an `__init__`
    return PyRef::steal(type->tp_alloc(type, 0));
  PyRef none = PyRef::steal(PyTuple_New(0));
  PyRef object = PyRef::steal(base->tp_new(type, none.get(), nullptr));
  if (node.form != Form::Deque || !object)
    return object;
  PyRef arguments =
      PyRef::steal(Py_BuildValue("(()O)", nodes_[node.keys[0]].object.get())); // maxlen
  if (!arguments || base->tp_init(object.get(), arguments.get(), nullptr) < 0)
    return {};
  return object;
}

bool Blueprint::fill(const Node &node, PyObject *object, const std::vector<PyRef> &made) const {
  auto item = [&](size_t i) { return made[node.items[i]].get(); };
  switch (node.form) {
  case Form::Cell:
    if (!node.items.empty())
      PyCell_Set(object, item(0));
    break;
  case Form::Function:
    if (PyObject_SetAttrString(object, "__name__", item(2)) < 0 ||
        PyObject_SetAttrString(object, "__doc__", item(3)) < 0 ||
        PyObject_SetAttrString(object, "__module__", item(4)) < 0 ||
        PyFunction_SetDefaults(object, item(5)) < 0 ||
        PyFunction_SetKwDefaults(object, item(6)) < 0 ||
        PyFunction_SetClosure(object, item(7)) < 0 ||
        (item(8) != Py_None && PyObject_SetAttrString(object, "__annotations__", item(8)) < 0))
      return false;
    break;
  case Form::List:
    for (size_t i = 0; i < node.items.size(); ++i)
      if (PyList_Append(object, item(i)) < 0)
        return false;
    break;
  case Form::Dict:
    for (size_t i = 0; i < node.items.size(); ++i) {
      PyObject *key = made[node.keys[i]].get();
      if ((PyODict_Check(object) ? PyODict_SetItem(object, key, item(i))
                                 : PyDict_SetItem(object, key, item(i))) < 0)
        return false;
    }
    break;
  case Form::Set:
    for (size_t i = 0; i < node.items.size(); ++i)
      if (PySet_Add(object, item(i)) < 0)
        return false;
    break;
  case Form::Deque: {
    static PyObject *append =
        PyObject_GetAttrString(reinterpret_cast<PyObject *>(dequeType()), "append");
    for (size_t i = 0; i < node.items.size(); ++i)
      if (!PyRef::steal(PyObject_CallFunctionObjArgs(append, object, item(i), nullptr)))
        return false;
    break;
  }
  default:
    if (PyExceptionInstance_Check(object)) {
      auto *exception = reinterpret_cast<PyBaseExceptionObject *>(object);
      Py_SETREF(exception->args, Py_NewRef(item(0)));
    }
  }
  for (const auto &[descriptor, value] : node.members)
    if (Py_TYPE(descriptor.get())->tp_descr_set(descriptor.get(), object, made[value].get()) < 0)
      return false;
  if (node.attributes.empty())
    return true;
  PyRef dict = PyRef::steal(PyObject_GenericGetDict(object, nullptr));
  for (const auto &[name, value] : node.attributes)
    if (!dict || PyDict_SetItem(dict.get(), name.get(), made[value].get()) < 0)
      return false;
  return true;
}

bool Blueprint::make(std::vector<PyRef> &made,
                     const std::function<PyObject *(uint32_t)> &leaf) const {
  made.clear();
  made.resize(nodes_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node &node = nodes_[i];
    if (node.form == Form::Leaf)
      made[i] = PyRef::steal(leaf(node.leaf));
    else if (node.form == Form::Itself)
      made[i] = node.object;
    else
      continue;
    if (!made[i])
      return false;
  }
  for (uint32_t i : empty_)
    if (!(made[i] = createEmpty(nodes_[i])))
      return false;
  for (uint32_t i : atOnce_)
    if (!(made[i] = createAtOnce(nodes_[i], made)))
      return false;
  auto fillNode = [&](uint32_t i) { return fill(nodes_[i], made[i].get(), made); };
  return std::all_of(empty_.begin(), empty_.end(), fillNode) &&
         std::all_of(atOnce_.begin(), atOnce_.end(), [&](uint32_t i) {
           const Node &node = nodes_[i];
           return (node.members.empty() && node.attributes.empty()) || fillNode(i);
         });
}

int Blueprint::traverse(visitproc visit, void *arg) const {
  for (const Node &node : nodes_) {
    Py_VISIT(node.object.get());
    for (const auto &[name, value] : node.attributes)
      Py_VISIT(name.get());
    for (const auto &[descriptor, value] : node.members)
      Py_VISIT(descriptor.get());
  }
  return 0;
}

} // namespace bifront
