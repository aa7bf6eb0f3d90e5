// What the program reads of lists of which only the run of the graph knows how long they are. Their
// items, tensors or numbers, are rows of one tensor (stacked_items.h); where nothing here says how
// to read one, it is refused.
#include "capture/symbolic.h"
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/stacked_items.h"
#include "runtime/growing_stack.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/DefaultDtype.h>
#include <torch/csrc/Device.h>
#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {

using namespace syntax;

namespace {

std::span<PyObject *const> itemsOf(PyObject *list) {
  return {PySequence_Fast_ITEMS(list), static_cast<size_t>(PySequence_Fast_GET_SIZE(list))};
}

PyObject *firstStacked(PyObject *list) {
  auto items = itemsOf(list);
  return *std::find_if(items.begin(), items.end(), stackedItems);
}

// The item, where no others stand between it and the end that it is counted from.
PyObject *plainItem(PyObject *list, Py_ssize_t index) {
  auto items = itemsOf(list);
  auto size = static_cast<Py_ssize_t>(items.size());
  if (index < -size || index >= size)
    return nullptr;
  auto between = index < 0 ? items.subspan(size + index) : items.first(index + 1);
  if (std::any_of(between.begin(), between.end(), stackedItems))
    return nullptr;
  return index < 0 ? between.front() : between.back();
}

// Whether the slice takes all items, in their order or `turned`.
bool isWhole(PyObject *key, bool &turned) {
  if (!PySlice_Check(key))
    return false;
  auto *slice = reinterpret_cast<PySliceObject *>(key);
  bool isPlain = slice->step == Py_None || PyLong_CheckExact(slice->step);
  long step = slice->step == Py_None ? 1 : isPlain ? PyLong_AsLong(slice->step) : 0;
  PyErr_Clear(); // a step of more than 64 bits
  turned = step == -1;
  return isPlain && slice->start == Py_None && slice->stop == Py_None && (step == 1 || turned);
}

bool isOnCpuByDefault() {
  PyRef torch = checked(PyImport_ImportModule("torch"));
  PyRef device = checked(PyObject_CallMethod(torch.get(), "get_default_device", nullptr));
  return THPDevice_Check(device.get()) &&
         reinterpret_cast<THPDevice *>(device.get())->device.is_cpu();
}

PyRef callMethod(const PyRef &tensor, const char *name, std::initializer_list<long> arguments) {
  PyRef all = checked(PyTuple_New(static_cast<Py_ssize_t>(arguments.size())));
  Py_ssize_t next = 0;
  for (long argument : arguments)
    PyTuple_SET_ITEM(all.get(), next++, checked(PyLong_FromLong(argument)).release());
  PyRef method = checked(PyObject_GetAttrString(tensor.get(), name));
  return checked(PyObject_CallObject(method.get(), all.get()));
}

} // namespace

PyRef Interpreter::lengthWithRows(PyObject *list) {
  c10::SymInt length = numberOf(itemsOf(list));
  if (auto plain = length.maybe_as_int())
    return checked(PyLong_FromLongLong(*plain));
  return numberForPython(length.toSymNode());
}

// All items, as the rows of one tensor.
PyRef Interpreter::rowsOf(PyObject *list) {
  const ItemForm &form = stackedItems(firstStacked(list))->form;
  if (!fits(*host_.recording, form, itemsOf(list)))
    refuseStacked(firstStacked(list));
  return checked(THPVariable_Wrap(stackOf(*host_.recording, form, itemsOf(list))));
}

PyRef Interpreter::rowAt(PyObject *rows, PyObject *index, bool isNumber) {
  at::AutoGradMode withHistory(true); // an item has the one it has
  PyRef row = item(rows, index);
  if (isNumber)
    return callMethod(row, "item", {});
  host_.recording->noteItem(held(row.get()));
  return row;
}

PyRef Interpreter::itemAmongRows(PyObject *list, PyObject *key) {
  if (bool turned = false; isWhole(key, turned)) {
    at::AutoGradMode withHistory(true);
    const StackedItems *stacked = stackedItems(firstStacked(list));
    at::Tensor rows = THPVariable_Unpack(rowsOf(list).get());
    PyRef copy = checked(PyList_New(0)),
          items = makeStackedItems({turned ? rows.flip(0) : rows, stacked->form, stacked->site});
    checked(PyList_Append(copy.get(), items.get()));
    log_.noteFresh(copy.get());
    return copy;
  }
  bool isNumber = isGraphNumber(key) && numberType(key) == &PyLong_Type;
  if (!isNumber && !PyLong_CheckExact(key))
    refuseStacked(firstStacked(list));
  if (!isNumber) {
    Py_ssize_t index = PyLong_AsSsize_t(key);
    if (index == -1 && PyErr_Occurred())
      throw PythonError();
    if (PyObject *plain = plainItem(list, index))
      return PyRef::share(plain);
  }
  return rowAt(rowsOf(list).get(), key, holdsNumbers(list));
}

// A list that changes while it is iterated over gives other items.
void Interpreter::checkUnchanged(PyObject *list, PyObject *before) const {
  auto now = itemsOf(list), then = itemsOf(before);
  if (!std::equal(now.begin(), now.end(), then.begin(), then.end()))
    refuseStacked(firstStacked(before));
}

void Interpreter::assertHasItems(PyObject *list) {
  PyRef zero = checked(PyLong_FromLong(0)), length = lengthWithRows(list);
  PyRef hasItems = compare(CompareOp::Gt, length.get(), zero.get());
  if (hasItems.get() != Py_True)
    host_.recording->graph().assertTrue(conditionValue(hasItems.get()), "a list has items");
}

// torch.stack or torch.cat of such a list; nothing for others.
std::optional<PyRef> Interpreter::stackOrCat(CallArguments &arguments, bool stacks) {
  PyRef list, dim;
  bool isKnown = arguments.positional.size() <= 2;
  if (!arguments.positional.empty())
    list = arguments.positional[0];
  if (arguments.positional.size() > 1)
    dim = arguments.positional[1];
  for (const auto &[name, value] : arguments.keywords) {
    bool isDim = PyUnicode_CompareWithASCIIString(name.get(), "dim") == 0;
    bool isList = PyUnicode_CompareWithASCIIString(name.get(), "tensors") == 0;
    isKnown = isKnown && (isDim || isList);
    (isDim ? dim : list) = isDim || isList ? value : list;
  }
  if (PyRef copy = list && isKnown ? copyOfGrown(list.get()) : PyRef()) {
    for (PyRef &argument : arguments.positional)
      argument = argument.get() == list.get() ? copy : argument;
    for (auto &[name, argument] : arguments.keywords)
      argument = argument.get() == list.get() ? copy : argument;
    list = copy;
  }
  if (!list || !holdsStacked(list.get()))
    return std::nullopt;
  if (holdsNumbers(list.get())) // it raises
    refuseStacked(firstStacked(list.get()));
  PyRef rows = rowsOf(list.get());
  int64_t rank = THPVariable_Unpack(rows.get()).dim() - (stacks ? 0 : 1);
  long at = dim && PyLong_CheckExact(dim.get()) ? PyLong_AsLong(dim.get()) : 0;
  if (!isKnown || (dim && !PyLong_CheckExact(dim.get())) || at < -rank || at >= rank)
    refuseStacked(firstStacked(list.get()));
  at += at < 0 ? rank : 0;
  assertHasItems(list.get());
  if (at > 0)
    rows = callMethod(rows, "movedim", {0, at});
  if (!stacks)
    rows = callMethod(rows, "flatten", {at, at + 1});
  return checked(THPVariable_Wrap(rowsOfStack(THPVariable_Unpack(rows.get()))));
}

void Interpreter::checkNotStacked(PyObject *sequence) {
  if (sequence && holdsStacked(sequence))
    refuseStacked(firstStacked(sequence));
}

// torch.tensor of such a list of numbers; nothing where PyTorch would look at each of them, or
// raise. `dtype`: Undefined where PyTorch is to tell.
std::optional<PyRef> Interpreter::tensorOfRows(PyObject *list, c10::ScalarType dtype) {
  using NumberKind = SymbolicScalar::Kind;
  auto kind = stackedItems(firstStacked(list))->form.number;
  bool isToldByItems = dtype == c10::ScalarType::Undefined;
  if (!kind || !isOnCpuByDefault())
    return std::nullopt;
  at::Tensor rows = THPVariable_Unpack(rowsOf(list).get());
  if (isToldByItems && *kind != NumberKind::Float)
    assertHasItems(list); // or it is a tensor of floats
  if (isToldByItems)
    dtype =
        *kind == NumberKind::Float ? c10::get_default_dtype_as_scalartype() : rows.scalar_type();
  bool isReal = dtype == c10::ScalarType::Float || dtype == c10::ScalarType::Double;
  if (!isReal && dtype != rows.scalar_type())
    return std::nullopt;
  if (dtype == rows.scalar_type())
    return checked(THPVariable_Wrap(rowsOfStack(rows)));
  return checked(THPVariable_Wrap(rows.to(c10::ScalarType::Double).to(dtype)));
}

// Of the methods of a list, the ones that need not know how long it is.
void Interpreter::checkStacked(PyObject *self, std::string_view method,
                               std::span<const PyRef> arguments) const {
  if (!PyList_Check(self) || !holdsStacked(self))
    return;
  auto items = itemsOf(self);
  auto plain = std::find_if(items.begin(), items.end(), stackedItems) - items.begin();
  bool isAhead =
      method == "insert" && arguments.size() == 3 && PyLong_CheckExact(arguments[1].get());
  if (isAhead) {
    Py_ssize_t at = PyLong_AsSsize_t(arguments[1].get());
    PyErr_Clear(); // an index of more than 64 bits
    isAhead = at >= 0 && at <= plain;
  }
  if (!isAhead && method != "append" && method != "extend" && method != "clear")
    refuseStacked(firstStacked(self));
}

} // namespace bifront
