#include "frontend/stacked_items.h"

#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/merge.h"
#include "frontend/python_error.h"
#include "runtime/growing_stack.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

struct StackedObject {
  PyObject_HEAD StackedItems *items;
};

void dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  delete reinterpret_cast<StackedObject *>(self)->items;
  type->tp_free(self);
  Py_DECREF(type);
}

PyTypeObject *stackedType() {
  static PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void *>(dealloc)}, {0, nullptr}};
  constexpr unsigned kFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  static PyType_Spec spec{"bifront._core.StackedItems", sizeof(StackedObject), 0, kFlags, slots};
  static auto *type = reinterpret_cast<PyTypeObject *>(PyType_FromSpec(&spec));
  return type;
}

bool haveOneType(const ProxyImpl::Shape &a, const ProxyImpl::Shape &b) {
  return a.device == b.device && a.world[0].dtype == b.world[0].dtype &&
         a.in(0).sizes == b.in(0).sizes && a.in(1).sizes == b.in(1).sizes;
}

using NumberKind = SymbolicScalar::Kind;

// Nothing for what is no number that a graph can hold.
std::optional<NumberKind> kindOfNumber(PyObject *item) {
  if (isGraphNumber(item)) {
    SymbolicScalar *scalar = SymbolicScalar::of(symbolicNumber(item));
    return scalar ? std::optional(scalar->kind()) : std::nullopt;
  }
  if (PyBool_Check(item))
    return NumberKind::Bool;
  if (PyFloat_CheckExact(item))
    return NumberKind::Float;
  return PyLong_CheckExact(item) && fitsGraph(item) ? std::optional(NumberKind::Int) : std::nullopt;
}

c10::ScalarType dtypeOf(NumberKind kind) {
  switch (kind) {
  case NumberKind::Bool: return c10::ScalarType::Bool;
  case NumberKind::Int: return c10::ScalarType::Long;
  case NumberKind::Float: return c10::ScalarType::Double;
  }
  return c10::ScalarType::Undefined;
}

ItemForm formOfNumbers(NumberKind kind) {
  return {ProxyImpl::Shape::fixed(Extent::contiguous({}, dtypeOf(kind)), c10::kCPU), false, kind};
}

// The number as a scalar that a tensor can be filled with: of a bool of the graph, 0 or 1.
c10::Scalar scalarOf(Recording &recording, PyObject *number) {
  if (!isGraphNumber(number))
    return PyFloat_CheckExact(number)
               ? c10::Scalar(PyFloat_AS_DOUBLE(number))
               : c10::Scalar(static_cast<int64_t>(PyLong_AsLongLong(number)));
  c10::SymNode node = symbolicNumber(number);
  auto kind = kindOfNumber(number);
  if (kind == NumberKind::Float)
    return c10::SymFloat(node);
  if (kind == NumberKind::Int)
    return c10::SymInt(node);
  ValueId truth[] = {SymbolicScalar::of(node)->value()};
  return c10::SymInt(SymbolicScalar::ofValue(recording.shared_from_this(), NumberKind::Int,
                                             recording.graph().scalar(ScalarOp::ToInt, truth)));
}

// A number as the row that it becomes.
at::Tensor rowOf(Recording &recording, PyObject *number) {
  auto options = at::TensorOptions().dtype(dtypeOf(*kindOfNumber(number))).device(c10::kCPU);
  return at::full({}, scalarOf(recording, number), options);
}

ItemForm formOfOne(const Recording &recording, PyObject *item) {
  if (const StackedItems *stacked = stackedItems(item))
    return stacked->form;
  if (auto kind = kindOfNumber(item))
    return formOfNumbers(*kind);
  if (!isTensor(item) || reinterpret_cast<PyObject *>(Py_TYPE(item)) != THPVariableClass)
    throw CannotMerge("a list that grows has other items than tensors and numbers");
  const at::Tensor &tensor = THPVariable_Unpack(item);
  if (!isOwnOrFound(recording, tensor))
    throw CannotMerge("a list that grows has a tensor from outside among its items");
  const ProxyImpl::Shape &shape = ProxyImpl::of(tensor)->shape();
  if (!shape.isContiguous())
    throw CannotMerge("a list that grows has an item that is not contiguous");
  return {shape, tensor.requires_grad()};
}

bool areSame(const ItemForm &a, const ItemForm &b) {
  return a.number == b.number && a.requiresGrad == b.requiresGrad && haveOneType(a.shape, b.shape);
}

ValueId valueOf(const at::Tensor &tensor) { return ProxyImpl::of(tensor)->value(); }

// No rows yet.
at::Tensor emptyStack(const Recording &recording, const ItemForm &form) {
  c10::SymDimVector sizes{0};
  for (int64_t d = 0; d < form.shape.in(0).dim(); ++d) {
    int64_t first = form.shape.in(0).sizes[d], second = form.shape.in(1).sizes[d];
    auto known =
        first == second ? std::optional(c10::SymInt(first)) : recording.knownSize(first, second);
    if (!known)
      throw CannotMerge("a list is empty at first, and a size of its items is not known there");
    sizes.push_back(*known);
  }
  return at::empty_symint(
      sizes, at::TensorOptions().dtype(form.shape.world[0].dtype).device(form.shape.device));
}

// The number of rows when there are `more`, as one that has these stand-ins.
c10::SymInt rowsAs(Recording &recording, const at::Tensor &stack, size_t more, const Dim &worlds) {
  GraphRecorder &graph = recording.graph();
  ValueId sum[] = {graph.dim(valueOf(stack), 0), graph.constantInt(static_cast<int64_t>(more))};
  ValueId number = more == 0 ? sum[0] : graph.scalar(ScalarOp::Add, sum);
  return c10::SymInt(SymbolicScalar::ofSize(recording.shared_from_this(), number, worlds));
}

} // namespace

ProxyImpl::Shape ItemForm::stackOf(const Dim &rows) const {
  Extent worlds[2];
  for (int world : {0, 1}) {
    Dims sizes{rows.world[world]};
    const Dims &own = shape.in(world).sizes;
    sizes.append(own.begin(), own.end());
    worlds[world] = Extent::contiguous(sizes, shape.world[0].dtype);
  }
  ProxyImpl::Shape made = ProxyImpl::Shape::of(worlds[0], worlds[1], shape.device);
  made.byValues = true;
  return made;
}

bool isOwnOrFound(const Recording &recording, const at::Tensor &tensor) {
  ProxyImpl *proxy = ProxyImpl::of(tensor);
  auto memory = proxy ? recording.memoryOf(proxy->value()) : Recording::Memory::Outside;
  return memory == Recording::Memory::Own || memory == Recording::Memory::Found;
}

PyRef makeStackedItems(StackedItems items) {
  PyTypeObject *type = stackedType();
  PyRef made = checked(type ? type->tp_alloc(type, 0) : nullptr);
  reinterpret_cast<StackedObject *>(made.get())->items = new StackedItems(std::move(items));
  return made;
}

const StackedItems *stackedItems(PyObject *object) {
  return object && Py_TYPE(object) == stackedType()
             ? reinterpret_cast<StackedObject *>(object)->items
             : nullptr;
}

bool holdsStacked(PyObject *sequence) {
  if (!isSequence(sequence))
    return false;
  PyObject **items = PySequence_Fast_ITEMS(sequence);
  return std::any_of(items, items + PySequence_Fast_GET_SIZE(sequence), stackedItems);
}

bool holdsNumbers(PyObject *sequence) {
  if (!isSequence(sequence))
    return false;
  PyObject **items = PySequence_Fast_ITEMS(sequence);
  return std::any_of(items, items + PySequence_Fast_GET_SIZE(sequence), [](PyObject *item) {
    return stackedItems(item) && stackedItems(item)->form.number;
  });
}

void refuseStacked(PyObject *object) {
  const char *why = "a list that grows in a loop, a branch or a recursion is used in a way that "
                    "needs to know its length";
  if (const void *site = stackedItems(object)->site)
    throw CannotFork(site, Policy::OneWay, why);
  throw CannotInterpret(why);
}

void refuseStackedIn(PyObject *object, int depth) {
  constexpr int kDeepest = 8; // C looks no deeper
  if (stackedItems(object))
    refuseStacked(object);
  if (depth > kDeepest)
    return;
  for (Py_ssize_t i = 0; isSequence(object) && i < PySequence_Fast_GET_SIZE(object); ++i)
    refuseStackedIn(PySequence_Fast_GET_ITEM(object, i), depth + 1);
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_CheckExact(object) && PyDict_Next(object, &at, &key, &value);)
    refuseStackedIn(value, depth + 1);
}

ItemForm formOf(const Recording &recording, std::span<PyObject *const> items) {
  ItemForm form = formOfOne(recording, items.front());
  for (PyObject *item : items.subspan(1))
    if (!areSame(form, formOfOne(recording, item)))
      throw CannotMerge("a list that grows has items of several types");
  return form;
}

bool fits(const Recording &recording, const ItemForm &form, std::span<PyObject *const> items) {
  try {
    return std::all_of(items.begin(), items.end(),
                       [&](PyObject *item) { return areSame(form, formOfOne(recording, item)); });
  } catch (const CannotMerge &) { // another attempt says so
    return false;
  }
}

c10::SymInt numberOf(std::span<PyObject *const> items) {
  c10::SymInt number = 0;
  for (PyObject *item : items) {
    const StackedItems *stacked = stackedItems(item);
    number = number + (stacked ? stacked->stack.sym_size(0) : c10::SymInt(1));
  }
  return number;
}

at::Tensor stackOf(Recording &recording, const ItemForm &form, std::span<PyObject *const> items,
                   const std::optional<Dim> &rows) {
  at::AutoGradMode withHistory(true); // a list has its items as they are
  at::Tensor stack;
  std::vector<at::Tensor> added;
  auto grow = [&] {
    if (!stack.defined())
      stack = emptyStack(recording, form);
    auto more = static_cast<int64_t>(added.size());
    stack = growStack(stack, added, stack.sym_size(0) + more);
    added.clear();
  };
  for (PyObject *item : items) {
    const StackedItems *stacked = stackedItems(item);
    if (!stacked && form.number) {
      added.push_back(rowOf(recording, item));
      continue;
    }
    if (!stacked) {
      added.push_back(THPVariable_Unpack(item));
      if (!recording.keepInList(valueOf(added.back())))
        throw CannotMerge("a tensor that may be written is in a list that grows");
      continue;
    }
    if (!added.empty())
      grow();
    stack = stack.defined() ? at::cat({stack, stacked->stack}) : stacked->stack;
  }
  if (!rows && (!added.empty() || !stack.defined()))
    grow();
  if (!rows)
    return stack;
  if (!stack.defined())
    stack = emptyStack(recording, form);
  return growStack(stack, added, rowsAs(recording, stack, added.size(), *rows));
}

} // namespace bifront
