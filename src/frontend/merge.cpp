#include "frontend/merge.h"

#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"
#include "frontend/python_error.h"
#include "runtime/growing_stack.h"
#include "runtime/sized_tensor.h"
#include "support/plain_constant.h"

#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <optional>

namespace bifront {
namespace {

using NumberKind = SymbolicScalar::Kind;

struct Number {
  NumberKind kind;
  std::variant<ValueId, c10::SymNode, int64_t, double, bool> value;
};

// A number that a graph can hold; nothing for other objects, and for ints beyond 64 bits.
std::optional<Number> numberOf(PyObject *object) {
  if (PyBool_Check(object))
    return Number{NumberKind::Bool, object == Py_True};
  if (PyLong_CheckExact(object)) {
    int overflow = 0;
    int64_t number = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow ? std::nullopt : std::optional(Number{NumberKind::Int, number});
  }
  if (PyFloat_CheckExact(object))
    return Number{NumberKind::Float, PyFloat_AS_DOUBLE(object)};
  if (!isGraphNumber(object))
    return std::nullopt;
  c10::SymNode node = symbolicNumber(object);
  SymbolicScalar *scalar = SymbolicScalar::of(node);
  return scalar ? std::optional(Number{scalar->kind(), scalar->clone()}) : std::nullopt;
}

// Equal plain values that nobody can tell apart but by `is`.
bool areEqualConstants(PyObject *a, PyObject *b) {
  return isPlainConstant(a) && sameConstant(a, b);
}

ProxyImpl::Shape shapeOf(const at::Tensor &tensor) {
  ProxyImpl *proxy = ProxyImpl::of(tensor);
  return proxy ? proxy->shape() : ProxyImpl::Shape::fixed(Extent::of(tensor), tensor.device());
}

// What the memory of a tensor is to those outside where it may be this one.
Recording::Memory memoryOf(const Recording &recording, const at::Tensor &tensor) {
  using Memory = Recording::Memory;
  ProxyImpl *proxy = ProxyImpl::of(tensor);
  Memory memory = proxy ? recording.memoryOf(proxy->value()) : Memory::Outside;
  return memory == Memory::Outside ? Memory::Either : memory;
}

// Of a tensor that is one or the other: one that the run has found it never writes, others it may.
Recording::Memory eitherOf(Recording::Memory a, Recording::Memory b) {
  using Memory = Recording::Memory;
  if (a == Memory::Own || a == b)
    return b;
  return b == Memory::Own ? a : Memory::Either;
}

std::vector<PyObject *> borrowed(const std::vector<PyRef> &objects) {
  std::vector<PyObject *> all;
  for (const PyRef &object : objects)
    all.push_back(object.get());
  return all;
}

// Nothing goes by the stride of a dimension that has one element.
bool areSame(const Extent &a, const Extent &b) {
  if (a.sizes != b.sizes || a.dtype != b.dtype || a.wrappedNumber != b.wrappedNumber)
    return false;
  for (int64_t d = 0; d < a.dim(); ++d)
    if (a.sizes[d] != 1 && a.strides[d] != b.strides[d])
      return false;
  return true;
}

bool areSameSize(const c10::SymInt &a, const c10::SymInt &b) {
  auto isSameIn = [&](int world) {
    auto size = sizeIn(a, world);
    return size && size == sizeIn(b, world);
  };
  return isSameIn(0) && isSameIn(1);
}

bool areSame(const ProxyImpl::Shape &a, const ProxyImpl::Shape &b) {
  return a.dynamic == b.dynamic && a.device == b.device && areSame(a.in(0), b.in(0)) &&
         areSame(a.in(1), b.in(1));
}

} // namespace

//===- Planning ----------------------------------------------------------------------------===//

Merge::Index Merge::plan(PyObject *then, PyObject *otherwise) {
  if (auto known = known_.find({then, otherwise}); known != known_.end())
    return known->second;
  held_.push_back(PyRef::share(then));
  held_.push_back(PyRef::share(otherwise));
  Index index = add(planOf(then, otherwise));
  known_.emplace(std::pair(then, otherwise), index);
  return index;
}

Merge::Index Merge::add(Plan plan) {
  plans_.push_back(std::move(plan));
  return plans_.size() - 1;
}

Merge::Index Merge::planContents(PyObject *then, PyObject *otherwise) {
  if (PyList_CheckExact(then))
    return add(planItems(Plan::Kind::List, then, otherwise));
  if (PyDict_CheckExact(then))
    return add(planDict(then, otherwise));
  throw CannotMerge(std::string("a ") + Py_TYPE(then)->tp_name +
                    " is changed on one way, or in a loop");
}

Merge::Index Merge::planRows(PyObject *then, PyObject *otherwise) {
  if (!PyList_CheckExact(then))
    throw CannotMerge(std::string("a function that calls itself changes a ") +
                      Py_TYPE(then)->tp_name);
  return add(planGrowing(then, otherwise, 0));
}

Merge::Plan Merge::planOf(PyObject *then, PyObject *otherwise) {
  if (formOnly_ && !mayVary(then) && mark_ && log_.isFreshSince(*mark_, then))
    throw CannotMerge(std::string("a function gives a ") + Py_TYPE(then)->tp_name +
                      " that it has made");
  if (then == otherwise && !(formOnly_ && mayVary(then)))
    return {Plan::Kind::Same, PyRef::share(then)};
  if (!then || !otherwise)
    throw CannotMerge("a name or a place has a value on one way only");
  if (areEqualConstants(then, otherwise))
    return {Plan::Kind::Same, PyRef::share(then)};
  auto a = numberOf(then), b = numberOf(otherwise);
  if (a && b && a->kind == b->kind) {
    Plan plan{Plan::Kind::Number};
    plan.number = a->kind;
    plan.result = yields_[0].size();
    yields_[0].push_back(std::move(a->value));
    yields_[1].push_back(std::move(b->value));
    return plan;
  }
  bool mayBeNone = (then == Py_None || otherwise == Py_None) && objectOf(then) &&
                   objectOf(otherwise) && then != otherwise;
  if (pointerOf(then) || pointerOf(otherwise) || isNumpyData(then) || isNumpyData(otherwise) ||
      mayBeNone)
    return planObject(then, otherwise);
  if (Py_TYPE(then) != Py_TYPE(otherwise))
    throw CannotMerge(std::string("a value is a ") + Py_TYPE(then)->tp_name + " on one way, a " +
                      Py_TYPE(otherwise)->tp_name + " on the other");
  if (isTensor(then))
    return planTensor(then, otherwise);
  if (PyTuple_CheckExact(then))
    return planItems(Plan::Kind::Tuple, then, otherwise);
  if (PyList_CheckExact(then) || PyDict_CheckExact(then)) {
    checkOwn(then, otherwise);
    return PyDict_CheckExact(then) ? planDict(then, otherwise)
                                   : planItems(Plan::Kind::List, then, otherwise);
  }
  throw CannotMerge(std::string("the two ways end with different objects: ") +
                    Py_TYPE(then)->tp_name);
}

Merge::Index Merge::planForm(PyObject *value) {
  formOnly_ = true;
  Index index = plan(value, value);
  formOnly_ = false;
  return index;
}

bool Merge::mayVary(PyObject *object) const {
  return isProxyTensor(object) || isGraphNumber(object) || pointerOf(object) ||
         PyTuple_CheckExact(object) ||
         ((PyList_CheckExact(object) || PyDict_CheckExact(object)) && mark_ &&
          log_.isFreshSince(*mark_, object));
}

std::vector<ValueType> Merge::resultTypes() const {
  std::vector<ValueType> types(yields_[0].size());
  for (const Plan &plan : plans_)
    if (plan.kind == Plan::Kind::Object)
      types[plan.result] = ValueType::scalar(ValueType::Kind::Object);
    else if (plan.kind == Plan::Kind::Tensor || plan.kind == Plan::Kind::Resized ||
             plan.kind == Plan::Kind::Rows)
      types[plan.result] = ValueType::ofTensor(plan.shape.type());
    else if (plan.kind == Plan::Kind::Number)
      types[plan.result] = typeOf(plan.number);
  return types;
}

// A container that others know too, or that is paired with two, cannot be replaced by a new one.
void Merge::checkOwn(PyObject *then, PyObject *otherwise) {
  for (PyObject *container : {then, otherwise}) {
    if (!mark_ || !log_.isFreshSince(*mark_, container))
      throw CannotMerge("the two ways end with different lists or dicts");
    auto [known, isNew] = containers_.try_emplace(container, then, otherwise);
    if (!isNew && known->second != std::pair(then, otherwise))
      throw CannotMerge("a list or dict of one way is in the place of two of the other");
  }
}

Merge::Plan Merge::planObject(PyObject *then, PyObject *otherwise) {
  Plan plan{Plan::Kind::Object};
  plan.opaque = opaque_.merged(then, otherwise);
  plan.result = yields_[0].size();
  for (int way : {0, 1}) {
    PyObject *object = way == 0 ? then : otherwise;
    auto known = plan.opaque ? objectIn(object) : objectOf(object);
    if (!known)
      throw CannotMerge("an object is one from outside on one way only");
    yields_[way].emplace_back(*known);
  }
  return plan;
}

// The value as an object of the graph: nothing where it is none that the run has met.
std::optional<ValueId> Merge::objectOf(PyObject *value) const {
  if (pointerOf(value) || value == Py_None)
    return objectIn(value);
  ProxyImpl *proxy = proxyOf(value);
  auto found = proxy ? objects_.find(proxy->value()) : objects_.end();
  return found == objects_.end() ? std::nullopt : std::optional(found->second);
}

ValueId Merge::objectIn(PyObject *object) const {
  if (opaque_.choice(object))
    throw CannotMerge("one of several objects is a value of the two ways, or of iterations");
  auto pointer = pointerOf(object);
  return pointer ? *pointer : recording_.heldObject(object);
}

Merge::Plan Merge::planTensor(PyObject *then, PyObject *otherwise) {
  if (reinterpret_cast<PyObject *>(Py_TYPE(then)) != THPVariableClass)
    throw CannotMerge("the two ways end with different parameters");
  const at::Tensor &a = THPVariable_Unpack(then), &b = THPVariable_Unpack(otherwise);
  Plan plan{Plan::Kind::Tensor};
  plan.requiresGrad = a.requires_grad() || b.requires_grad();
  plan.ways[0] = a, plan.ways[1] = b;
  plan.shape = shapeOf(a);
  if (!areSame(plan.shape, shapeOf(b)))
    return planResized(a, b);
  plan.memory = eitherOf(memoryOf(recording_, a), memoryOf(recording_, b));
  plan.result = yields_[0].size();
  for (int way : {0, 1}) {
    const at::Tensor &tensor = way == 0 ? a : b;
    ProxyImpl *proxy = ProxyImpl::of(tensor);
    yields_[way].push_back(proxy ? proxy->value() : recording_.outsideTensor(tensor));
  }
  return plan;
}

// A tensor that has other sizes on the other way, as `x = x[x > 0]` gives it.
Merge::Plan Merge::planResized(const at::Tensor &then, const at::Tensor &otherwise) {
  ProxyImpl::Shape a = shapeOf(then), b = shapeOf(otherwise);
  if (a.in(0).dtype != b.in(0).dtype || a.device != b.device || then.dim() != otherwise.dim())
    throw CannotMerge("a tensor has another dtype or other dimensions on the other way");
  Plan plan{Plan::Kind::Resized};
  plan.requiresGrad = then.requires_grad() || otherwise.requires_grad();
  Dims sizes[2] = {a.in(0).sizes, a.in(1).sizes};
  for (size_t d = 0; d < sizes[0].size(); ++d)
    if (a.in(0).sizes[d] != b.in(0).sizes[d] || a.in(1).sizes[d] != b.in(1).sizes[d]) {
      Dim size = recording_.freeSize();
      plan.free.push_back(d);
      for (int world : {0, 1})
        sizes[world][d] = size.world[world];
    }
  if (plan.free.empty())
    throw CannotMerge("a tensor lies otherwise in memory on the other way");
  plan.shape = ProxyImpl::Shape::of(Extent::contiguous(sizes[0], a.in(0).dtype),
                                    Extent::contiguous(sizes[1], a.in(0).dtype), a.device);
  plan.shape.byValues = true;
  plan.memory = eitherOf(memoryOf(recording_, then), memoryOf(recording_, otherwise));
  plan.ways[0] = then, plan.ways[1] = otherwise;
  for (const at::Tensor &way : plan.ways)
    keepResized(way);
  plan.result = yields_[0].size();
  for (int way : {0, 1})
    yields_[way].emplace_back(ResizedYield{plans_.size(), way});
  return plan;
}

// From here on nobody may write it: it may be known by another name as well.
void Merge::keepResized(const at::Tensor &tensor) {
  if (!isOwnOrFound(recording_, tensor))
    throw CannotMerge("a tensor from outside gets other sizes");
  ProxyImpl *proxy = ProxyImpl::of(tensor);
  if (!proxy->shape().isContiguous())
    throw CannotMerge("a tensor that gets other sizes is not contiguous");
  if (!recording_.keepInList(proxy->value()))
    throw CannotMerge("a tensor that may be written gets other sizes");
}

// The tensor as one of the plan's type.
at::Tensor Merge::resized(const Plan &plan, const at::Tensor &tensor,
                          const std::function<Dim(size_t)> &sizeOf) {
  at::AutoGradMode withHistory(true); // it is the tensor itself
  c10::SymDimVector sizes(tensor.sym_sizes());
  for (size_t d : plan.free) {
    ValueId number =
        recording_.graph().dim(ProxyImpl::of(tensor)->value(), static_cast<int64_t>(d));
    sizes[d] =
        c10::SymInt(SymbolicScalar::ofSize(recording_.shared_from_this(), number, sizeOf(d)));
  }
  return sizedTensor(tensor, sizes);
}

at::Tensor Merge::asPlanned(const Plan &plan, const at::Tensor &tensor) {
  return resized(plan, tensor, [&](size_t d) {
    return Dim{{plan.shape.in(0).sizes[d], plan.shape.in(1).sizes[d]}};
  });
}

Merge::Plan Merge::planItems(Plan::Kind kind, PyObject *then, PyObject *otherwise) {
  Py_ssize_t size = PySequence_Fast_GET_SIZE(then), other = PySequence_Fast_GET_SIZE(otherwise);
  bool grows =
      kind == Plan::Kind::List && (size != other || holdsStacked(then) || holdsStacked(otherwise));
  if (grows)
    return planGrowing(then, otherwise, numSingle(then, otherwise));
  if (size != other)
    throw CannotMerge("a tuple has another length on the other way");
  Plan plan{kind};
  for (Py_ssize_t i = 0; i < size; ++i)
    plan.parts.push_back(
        this->plan(PySequence_Fast_GET_ITEM(then, i), PySequence_Fast_GET_ITEM(otherwise, i)));
  return plan;
}

// How many items that are the same on both ways come first and cannot be rows with the others.
Py_ssize_t Merge::numSingle(PyObject *then, PyObject *otherwise) const {
  PyObject **items[] = {PySequence_Fast_ITEMS(then), PySequence_Fast_ITEMS(otherwise)};
  Py_ssize_t sizes[] = {PyList_GET_SIZE(then), PyList_GET_SIZE(otherwise)}, single = 0;
  std::vector<PyObject *> all(items[0], items[0] + sizes[0]);
  all.insert(all.end(), items[1], items[1] + sizes[1]);
  try {
    formOf(recording_, all);
  } catch (const CannotMerge &) { // the rest may have one
    while (single < std::min(sizes[0], sizes[1]) && items[0][single] == items[1][single] &&
           !stackedItems(items[0][single]))
      ++single;
  }
  return single;
}

// A list of which the first items are the `same` on both ways, and then any number of others.
Merge::Plan Merge::planGrowing(PyObject *then, PyObject *otherwise, Py_ssize_t same) {
  Plan plan{Plan::Kind::List};
  for (Py_ssize_t i = 0; i < same; ++i)
    plan.parts.push_back(this->plan(PyList_GET_ITEM(then, i), PyList_GET_ITEM(otherwise, i)));
  plan.parts.push_back(planRowsFrom(then, otherwise, same));
  return plan;
}

Merge::Index Merge::planRowsFrom(PyObject *then, PyObject *otherwise, Py_ssize_t first) {
  std::vector<PyObject *> all;
  std::vector<PyRef> items[2];
  for (int way : {0, 1}) {
    PyObject *list = way == 0 ? then : otherwise;
    for (Py_ssize_t i = first; i < PyList_GET_SIZE(list); ++i) {
      all.push_back(PyList_GET_ITEM(list, i));
      items[way].push_back(PyRef::share(all.back()));
    }
  }
  if (all.empty())
    throw CannotMerge("nothing is known of the items of a list");
  Plan plan{Plan::Kind::Rows};
  plan.item = formOf(recording_, all);
  plan.rows = recording_.freeSize();
  plan.shape = plan.item.stackOf(plan.rows);
  plan.requiresGrad = plan.item.requiresGrad;
  plan.result = yields_[0].size();
  // One of each way, for the history.
  for (int way : {0, 1})
    if (!items[way].empty()) {
      const StackedItems *stacked = stackedItems(items[way].back().get());
      if (stacked)
        plan.ways[way] = stacked->stack;
      else if (!plan.item.number)
        plan.ways[way] = THPVariable_Unpack(items[way].back().get());
    }
  Index index = add(std::move(plan));
  for (int way : {0, 1})
    yields_[way].emplace_back(RowsYield{index, way, std::move(items[way])});
  return index;
}

Merge::Plan Merge::planDict(PyObject *then, PyObject *otherwise) {
  PyRef keys = checked(PyDict_Keys(then)), otherKeys = checked(PyDict_Keys(otherwise));
  if (checked(PyObject_RichCompareBool(keys.get(), otherKeys.get(), Py_EQ)) == 0)
    throw CannotMerge("a dict has other keys on the other way");
  Plan plan{Plan::Kind::Dict, keys};
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keys.get()); ++i) {
    PyObject *key = PyList_GET_ITEM(keys.get(), i);
    plan.parts.push_back(
        this->plan(PyDict_GetItemWithError(then, key), PyDict_GetItemWithError(otherwise, key)));
  }
  return plan;
}

//===- Yields and results ------------------------------------------------------------------===//

ValueId Merge::record(const Single &yield) {
  GraphRecorder &graph = recording_.graph();
  if (auto *value = std::get_if<ValueId>(&yield))
    return *value;
  if (auto *node = std::get_if<c10::SymNode>(&yield))
    return SymbolicScalar::of(*node)->value();
  if (auto *number = std::get_if<int64_t>(&yield))
    return graph.constantInt(*number);
  if (auto *real = std::get_if<double>(&yield))
    return graph.constantFloat(*real);
  return graph.constantBool(std::get<bool>(yield));
}

ValueId Merge::record(const RowsYield &yield) {
  Plan &plan = plans_[yield.plan];
  std::vector<PyObject *> items = borrowed(yield.items);
  at::Tensor &stack = plan.ways[yield.way];
  stack = stackOf(recording_, plan.item, items, plan.rows);
  if (yield.way == 0)
    plan.first = numberOf(items);
  return ProxyImpl::of(stack)->value();
}

ValueId Merge::record(const ResizedYield &yield) {
  Plan &plan = plans_[yield.plan];
  plan.ways[yield.way] = asPlanned(plan, plan.ways[yield.way]);
  return ProxyImpl::of(plan.ways[yield.way])->value();
}

std::vector<ValueId> Merge::yields(int way) {
  std::vector<ValueId> values;
  for (const Yield &yield : yields_[way])
    values.push_back(std::visit([&](const auto &value) { return record(value); }, yield));
  return values;
}

std::optional<std::vector<ValueId>>
Merge::yieldsOf(std::span<const std::pair<Index, PyObject *>> ends) {
  // What no end says stays as it is carried.
  std::vector<ValueId> values = results_;
  for (const auto &[value, object] : ends)
    if (!object || !flatten(value, object, values))
      return std::nullopt;
  return values;
}

// Of a list or a tuple.
bool Merge::flattenItems(Plan &plan, PyObject *object, std::vector<ValueId> &yields) {
  bool grows = !plan.parts.empty() && plans_[plan.parts.back()].kind == Plan::Kind::Rows;
  auto size = static_cast<size_t>(PySequence_Fast_GET_SIZE(object));
  size_t single = plan.parts.size() - (grows ? 1 : 0);
  if (grows ? size < single : size != single)
    return false;
  PyObject **items = PySequence_Fast_ITEMS(object);
  for (size_t i = 0; i < single; ++i)
    if (!flatten(plan.parts[i], items[i], yields))
      return false;
  return !grows || flattenRows(plans_[plan.parts.back()], {items + single, size - single}, yields);
}

bool Merge::flattenRows(Plan &plan, std::span<PyObject *const> items,
                        std::vector<ValueId> &yields) {
  if (!fits(recording_, plan.item, items))
    return false;
  auto before = std::find_if(items.begin(), items.end(), stackedItems);
  bool addsOnly = before != items.end() && *before == plan.made.get() &&
                  std::none_of(before + 1, items.end(), stackedItems);
  if (addsOnly)
    plan.more = static_cast<int64_t>(items.size()) - 1;
  plan.ways[1] = stackOf(recording_, plan.item, items, plan.rows);
  yields[plan.result] = ProxyImpl::of(plan.ways[1])->value();
  return true;
}

bool Merge::flattenResized(Plan &plan, const at::Tensor &tensor, std::vector<ValueId> &yields) {
  ProxyImpl::Shape shape = shapeOf(tensor);
  auto hasSizesOf = [&](int world) {
    const Dims &own = shape.in(world).sizes, &wanted = plan.shape.in(world).sizes;
    for (size_t d = 0; d < own.size(); ++d)
      if (own[d] != wanted[d] &&
          std::find(plan.free.begin(), plan.free.end(), d) == plan.free.end())
        return false;
    return true;
  };
  if ((tensor.requires_grad() && !plan.requiresGrad) ||
      shape.in(0).dtype != plan.shape.in(0).dtype || shape.device != plan.shape.device ||
      shape.in(0).dim() != plan.shape.in(0).dim() || !hasSizesOf(0) || !hasSizesOf(1))
    return false;
  keepResized(tensor);
  plan.ways[1] = asPlanned(plan, tensor);
  yields[plan.result] = ProxyImpl::of(plan.ways[1])->value();
  return eitherOf(plan.memory, memoryOf(recording_, tensor)) == plan.memory;
}

bool Merge::flatten(Index value, PyObject *object, std::vector<ValueId> &yields) {
  Plan &plan = plans_[value];
  switch (plan.kind) {
  case Plan::Kind::Same:
    return plan.same.get() == object || areEqualConstants(plan.same.get(), object);
  case Plan::Kind::Tensor: {
    if (reinterpret_cast<PyObject *>(Py_TYPE(object)) != THPVariableClass)
      return false;
    const at::Tensor &tensor = THPVariable_Unpack(object);
    if ((tensor.requires_grad() && !plan.requiresGrad) || !areSame(plan.shape, shapeOf(tensor)))
      return false;
    plan.ways[1] = tensor;
    ProxyImpl *proxy = ProxyImpl::of(tensor);
    yields[plan.result] = proxy ? proxy->value() : recording_.outsideTensor(tensor);
    return eitherOf(plan.memory, memoryOf(recording_, tensor)) == plan.memory;
  }
  case Plan::Kind::Resized:
    return reinterpret_cast<PyObject *>(Py_TYPE(object)) == THPVariableClass &&
           flattenResized(plan, THPVariable_Unpack(object), yields);
  case Plan::Kind::Number: {
    auto number = numberOf(object);
    if (!number || number->kind != plan.number)
      return false;
    yields[plan.result] = record(number->value);
    return true;
  }
  case Plan::Kind::Object: {
    if (plan.opaque && !opaque_.fits(*plan.opaque, object))
      return false;
    auto known = plan.opaque ? objectIn(object) : objectOf(object);
    if (known)
      yields[plan.result] = *known;
    return known.has_value();
  }
  case Plan::Kind::Tuple: return PyTuple_CheckExact(object) && flattenItems(plan, object, yields);
  case Plan::Kind::List:
    return PyList_CheckExact(object) && log_.isFresh(object) && flattenItems(plan, object, yields);
  case Plan::Kind::Rows: return false; // a part of a list
  case Plan::Kind::Dict: {
    if (!PyDict_CheckExact(object) || !log_.isFresh(object))
      return false;
    PyRef keys = checked(PyDict_Keys(object));
    if (checked(PyObject_RichCompareBool(keys.get(), plan.same.get(), Py_EQ)) == 0)
      return false;
    for (size_t i = 0; i < plan.parts.size(); ++i)
      if (!flatten(plan.parts[i],
                   PyDict_GetItemWithError(object,
                                           PyList_GET_ITEM(keys.get(), static_cast<Py_ssize_t>(i))),
                   yields))
        return false;
    return true;
  }
  }
  return false;
}

void Merge::takeResults(std::vector<ValueId> results, Place place, Edges arguments) {
  results_ = std::move(results);
  place_ = place;
  arguments_ = std::move(arguments);
  for (Plan &plan : plans_)
    plan.made = {};
}

Merge::Edges Merge::histories() const {
  Edges edges;
  for (const Plan &plan : plans_)
    if (plan.requiresGrad)
      for (const at::Tensor &way : plan.ways)
        edges.push_back(historyOf(way));
  return edges;
}

void Merge::attachHistory(Plan &plan, const at::Tensor &tensor) {
  using torch::autograd::Edge;
  recording_.noteMergedHistory();
  Edge ways[] = {historyOf(plan.ways[0]), historyOf(plan.ways[1])};
  MergedHistory::Origin branch{site_, oneWaySite_, false}, loop{site_, oneWaySite_, true};
  switch (place_) {
  case Place::BehindBranch: mergeHistory(tensor, branch, {ways[0], ways[1]}, ways); break;
  case Place::InLoop: plan.inLoop = mergeHistory(tensor, loop, {ways[0]}, {ways, 1}); break;
  case Place::BehindLoop:
    // What the other tensors begin with comes to this one in later iterations.
    mergeHistory(tensor, loop, histories(), ways);
    if (plan.inLoop)
      static_cast<MergedHistory &>(*plan.inLoop).setWays(ways);
    break;
  case Place::OfFunction: {
    Edges all = arguments_;
    all.insert(all.end(), std::begin(ways), std::end(ways));
    mergeHistory(tensor, branch, std::move(all), {});
  }
  }
}

PyRef Merge::makeTensor(Plan &plan) {
  ValueId value = results_[plan.result];
  recording_.noteMerged(value);
  if (plan.memory != Recording::Memory::Own)
    recording_.noteMemory(value, plan.memory);
  at::Tensor tensor = ProxyImpl::make(recording_.shared_from_this(), value, plan.shape);
  if (plan.requiresGrad)
    attachHistory(plan, tensor);
  return checked(THPVariable_Wrap(tensor));
}

PyRef Merge::makeObject(const Plan &plan) {
  ValueId value = results_[plan.result];
  if (plan.opaque)
    opaque_.note(value, *plan.opaque);
  return makePointer(value);
}

// How many rows there are behind the loop: lists that began with as many items, and to which each
// iteration adds as many, are of one length.
c10::SymInt Merge::lengthBehindLoop(const Plan &plan) {
  if (trips_ && plan.first && plan.more)
    return *plan.first + (*plan.more == 1 ? *trips_ : *trips_ * *plan.more);
  auto isAsLong = [&](const Plan &other) {
    return other.length && plan.first && plan.more && other.more == plan.more && other.first &&
           areSameSize(*other.first, *plan.first);
  };
  auto known = std::find_if(plans_.begin(), plans_.end(), isAsLong);
  return known == plans_.end() ? freeLength(plan) : *known->length;
}

// A size of its own: what the loop or the function carries is of one type, whatever its length.
c10::SymInt Merge::freeLength(const Plan &plan) {
  ValueId number = recording_.graph().dim(results_[plan.result], 0);
  return c10::SymInt(
      SymbolicScalar::ofSize(recording_.shared_from_this(), number, recording_.freeSize()));
}

PyRef Merge::makeRows(Plan &plan) {
  PyRef carried = makeTensor(plan);
  const at::Tensor &tensor = THPVariable_Unpack(carried.get());
  at::AutoGradMode withHistory(true);
  if (place_ == Place::BehindLoop)
    plan.length = lengthBehindLoop(plan);
  c10::SymInt rows = plan.length ? *plan.length : freeLength(plan);
  return makeStackedItems({growStack(tensor, {}, rows), plan.item, oneWaySite_});
}

PyRef Merge::makeResized(Plan &plan) {
  PyRef carried = makeTensor(plan);
  // What a loop carries is of one type, whatever its sizes: here they are others.
  at::Tensor tensor = resized(plan, THPVariable_Unpack(carried.get()),
                              [&](size_t) { return recording_.freeSize(); });
  ValueId value = ProxyImpl::of(tensor)->value();
  if (plan.memory != Recording::Memory::Own)
    recording_.noteMemory(value, plan.memory);
  recording_.noteOneOfKept(value);
  return checked(THPVariable_Wrap(tensor));
}

std::vector<std::pair<ValueId, std::pair<PyRef, PyRef>>> Merge::tensors() const {
  std::vector<std::pair<ValueId, std::pair<PyRef, PyRef>>> tensors;
  for (const Plan &plan : plans_)
    if (plan.kind == Plan::Kind::Tensor)
      tensors.push_back(
          {results_[plan.result],
           {checked(THPVariable_Wrap(plan.ways[0])), checked(THPVariable_Wrap(plan.ways[1]))}});
  return tensors;
}

PyRef Merge::make(Index value) {
  Plan &plan = plans_[value];
  if (plan.made)
    return plan.made;
  switch (plan.kind) {
  case Plan::Kind::Same: return plan.same;
  case Plan::Kind::Tensor: plan.made = makeTensor(plan); break;
  case Plan::Kind::Number:
    plan.made = numberForPython(
        SymbolicScalar::ofValue(recording_.shared_from_this(), plan.number, results_[plan.result]));
    break;
  case Plan::Kind::Rows: plan.made = makeRows(plan); break;
  case Plan::Kind::Resized: plan.made = makeResized(plan); break;
  case Plan::Kind::Object: plan.made = makeObject(plan); break;
  case Plan::Kind::Tuple:
  case Plan::Kind::List: {
    PyRef list = checked(PyList_New(0));
    for (Index part : plan.parts)
      checked(PyList_Append(list.get(), make(part).get()));
    plan.made = plan.kind == Plan::Kind::List ? list : checked(PyList_AsTuple(list.get()));
    break;
  }
  case Plan::Kind::Dict:
    plan.made = checked(PyDict_New());
    for (size_t i = 0; i < plan.parts.size(); ++i)
      checked(PyDict_SetItem(plan.made.get(),
                             PyList_GET_ITEM(plan.same.get(), static_cast<Py_ssize_t>(i)),
                             make(plan.parts[i]).get()));
    break;
  }
  if (plan.kind == Plan::Kind::List || plan.kind == Plan::Kind::Dict)
    log_.noteFresh(plan.made.get());
  return plan.made;
}

} // namespace bifront
