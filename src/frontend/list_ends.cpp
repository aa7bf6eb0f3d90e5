// Lists that the program adds to from call to call: their length is a number, and items are counted
// from the end, so that one graph serves however long they are.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/stacked_items.h"

namespace bifront {
namespace {

// n of the key -n, or of [-n:].
std::optional<Py_ssize_t> countFromEnd(PyObject *key, bool &isSlice) {
  isSlice = PySlice_Check(key);
  if (isSlice) {
    auto *slice = reinterpret_cast<PySliceObject *>(key);
    if (slice->stop != Py_None || slice->step != Py_None)
      return std::nullopt;
    key = slice->start;
  }
  if (!PyLong_CheckExact(key))
    return std::nullopt;
  Py_ssize_t index = PyLong_AsSsize_t(key);
  if (index == -1 && PyErr_Occurred()) {
    PyErr_Clear(); // too large an index
    return std::nullopt;
  }
  return index < 0 && index > -PY_SSIZE_T_MAX ? std::optional(-index) : std::nullopt;
}

} // namespace

// Nothing for what is no list, and for one of which the log does not know how it has grown.
PyRef Interpreter::lengthOfList(PyObject *list) {
  if (holdsStacked(list))
    return lengthWithRows(list);
  auto appended = log_.appendedTo(list);
  if (!appended)
    return {};
  PyRef before = log_.lengthStandIn(list), more = checked(PyLong_FromSize_t(*appended));
  if (!before) {
    before =
        checked(PyLong_FromSsize_t(PyList_GET_SIZE(list) - static_cast<Py_ssize_t>(*appended)));
    before = found(Slot::Kind::Length, list, nullptr, before.get());
  }
  return *appended ? binary(syntax::BinaryOp::Add, before.get(), more.get()) : before;
}

// What the call has appended itself is there whatever the list holds.
PyRef Interpreter::itemFromEnd(PyObject *list, Py_ssize_t fromEnd, size_t appended) {
  PyObject *item = PyList_GET_ITEM(list, PyList_GET_SIZE(list) - fromEnd);
  auto own = static_cast<Py_ssize_t>(appended);
  if (fromEnd <= own)
    return PyRef::share(item);
  PyRef key = checked(PyLong_FromSsize_t(own - fromEnd));
  return found(Slot::Kind::ListItem, list, key.get(), item);
}

// `list[-n]` and `list[-n:]` of a list that has as many items; nothing for other keys.
PyRef Interpreter::itemsFromEnd(PyObject *list, PyObject *key) {
  bool isSlice = false;
  auto count = countFromEnd(key, isSlice);
  bool isPlain = count && !hasWalkedMethod(list, "__getitem__");
  auto appended = isPlain ? log_.appendedTo(list) : std::nullopt;
  if (!appended || *count > PyList_GET_SIZE(list))
    return {};
  if (!isSlice)
    return itemFromEnd(list, *count, *appended);
  if (*count > static_cast<Py_ssize_t>(*appended)) { // fewer would be taken of a shorter list
    PyRef length = lengthOfList(list), least = checked(PyLong_FromSsize_t(*count));
    if (!truth(compare(syntax::CompareOp::Ge, length.get(), least.get()).get()))
      return {};
  }
  PyRef items = checked(PyList_New(0));
  for (Py_ssize_t i = *count; i > 0; --i)
    checked(PyList_Append(items.get(), itemFromEnd(list, i, *appended).get()));
  log_.noteFresh(items.get());
  return items;
}

} // namespace bifront
