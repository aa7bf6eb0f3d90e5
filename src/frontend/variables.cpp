// Names and targets of assignments.
#include "frontend/interpreter.h"
#include "frontend/pointers.h"

#include "capture/recording.h"

#include <algorithm>

namespace bifront {

using namespace syntax;

namespace {

[[noreturn]] void raiseUnbound(const Binding &binding) {
  const char *name = PyUnicode_AsUTF8(binding.name.get());
  PyErr_Format(PyExc_UnboundLocalError,
               "cannot access local variable '%s' where it is not associated with a value",
               name ? name : "?");
  throw PythonError();
}

[[noreturn]] void raiseNoName(PyObject *name) {
  PyErr_Format(PyExc_NameError, "name '%U' is not defined", name);
  throw PythonError();
}

} // namespace

PyRef Interpreter::found(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value) {
  if (value)
    if (PyRef now = readInRun({kind, PyRef::share(object), PyRef::share(key)}, value))
      return now;
  PyRef held = PyRef::share(value);
  if (!log_.read(kind, object, key, value) || !value || !host_.inputFor)
    return held;
  Slot slot{kind, PyRef::share(object), PyRef::share(key)};
  auto input = host_.inputFor(slot, value);
  if (!input)
    return held;
  log_.standIn(std::move(slot), value, input->first.get(), input->second);
  return input->first;
}

void Interpreter::standIn(const std::vector<Slot> &slots) {
  for (const Slot &slot : slots)
    if (!host_.isReplaced(slot.object.get()))
      found(slot.kind, slot.object.get(), slot.key.get(), log_.valueNow(slot).get());
  numGiven_ = log_.numStandIns();
}

PyRef Interpreter::load(PythonFrame &frame, const Binding &binding) {
  switch (binding.kind) {
  case Binding::Kind::Local:
    if (!frame.slots[binding.index])
      raiseUnbound(binding);
    refusePoison(frame.slots[binding.index].get());
    return frame.slots[binding.index];
  case Binding::Kind::Cell: {
    PyObject *cell = frame.cells[binding.index].get();
    if (!PyCell_GET(cell))
      raiseUnbound(binding);
    return found(Slot::Kind::Cell, cell, nullptr, PyCell_GET(cell));
  }
  case Binding::Kind::Global: return loadGlobal(frame, binding.name.get());
  }
  return {};
}

PyRef Interpreter::loadGlobal(PythonFrame &frame, PyObject *name) {
  if (PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(frame.globals, name)))
    return found(Slot::Kind::DictItem, frame.globals, name, value);
  log_.read(Slot::Kind::DictItem, frame.globals, name, nullptr);
  PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(frame.builtins, name));
  if (!value)
    raiseNoName(name);
  log_.read(Slot::Kind::DictItem, frame.builtins, name, value);
  return PyRef::share(value);
}

void Interpreter::store(PythonFrame &frame, const Binding &binding, PyRef value) {
  switch (binding.kind) {
  case Binding::Kind::Local: frame.slots[binding.index] = std::move(value); break;
  case Binding::Kind::Cell:
    log_.write(Slot::Kind::Cell, frame.cells[binding.index].get(), nullptr, value.get());
    break;
  case Binding::Kind::Global:
    log_.write(Slot::Kind::DictItem, frame.globals, binding.name.get(), value.get());
    break;
  }
}

void Interpreter::remove(PythonFrame &frame, const Binding &binding) {
  switch (binding.kind) {
  case Binding::Kind::Local:
    if (!frame.slots[binding.index])
      raiseUnbound(binding);
    frame.slots[binding.index] = {};
    break;
  case Binding::Kind::Cell: {
    PyObject *cell = frame.cells[binding.index].get();
    if (!PyCell_GET(cell))
      raiseUnbound(binding);
    log_.write(Slot::Kind::Cell, cell, nullptr, nullptr);
    break;
  }
  case Binding::Kind::Global:
    if (!checkedOrAbsent(PyDict_GetItemWithError(frame.globals, binding.name.get())))
      raiseNoName(binding.name.get());
    log_.read(Slot::Kind::DictItem, frame.globals, binding.name.get(),
              PyDict_GetItemWithError(frame.globals, binding.name.get()));
    log_.write(Slot::Kind::DictItem, frame.globals, binding.name.get(), nullptr);
    break;
  }
}

void Interpreter::assign(PythonFrame &frame, const Expr &target, PyRef value) {
  if (auto *name = std::get_if<Name>(&target.node)) {
    store(frame, name->binding, std::move(value));
  } else if (auto *access = std::get_if<Attribute>(&target.node)) {
    setAttribute(eval(frame, *access->object).get(), access->name.get(), value.get());
  } else if (auto *subscript = std::get_if<Subscript>(&target.node)) {
    PyRef object = eval(frame, *subscript->object);
    setItem(object.get(), eval(frame, *subscript->index).get(), value.get());
  } else if (auto *sequence = std::get_if<Sequence>(&target.node)) {
    unpack(frame, sequence->elements, value.get());
  } else {
    throw CannotInterpret("a target of an assignment is not known");
  }
}

void Interpreter::unpack(PythonFrame &frame, const std::vector<ExprPtr> &targets, PyObject *value) {
  size_t star = targets.size();
  for (size_t i = 0; i < targets.size(); ++i)
    if (std::holds_alternative<Starred>(targets[i]->node))
      star = i;
  std::vector<PyRef> seen;
  if (auto pointer = pointerOf(value); pointer && star == targets.size())
    seen = lanes_.seen(*pointer);
  bool isTuple = !seen.empty() && std::ranges::all_of(seen, [&](const PyRef &object) {
    return PyTuple_CheckExact(object.get()) &&
           PyTuple_GET_SIZE(object.get()) == static_cast<Py_ssize_t>(targets.size());
  });
  std::vector<PyRef> items;
  // Of a tuple that the run knows, as many as there are targets.
  PyRef known = isTuple ? countedItems(value, pointerLength(value).get(), targets.size()) : PyRef();
  PyRef iterator = iterate(known ? known.get() : value);
  while (items.size() <= targets.size() || star < targets.size()) {
    PyRef item = next(iterator.get());
    if (!item)
      break;
    items.push_back(std::move(item));
  }
  bool starred = star < targets.size();
  size_t needed = targets.size() - (starred ? 1 : 0);
  if (items.size() < needed) {
    PyErr_Format(PyExc_ValueError, "not enough values to unpack (expected %s%zu, got %zu)",
                 starred ? "at least " : "", needed, items.size());
    throw PythonError();
  }
  if (!starred && items.size() > needed) {
    PyErr_Format(PyExc_ValueError, "too many values to unpack (expected %zu)", needed);
    throw PythonError();
  }
  size_t rest = items.size() - needed; // that the star takes
  for (size_t i = 0, from = 0; i < targets.size(); ++i) {
    if (i != star) {
      assign(frame, *targets[i], items[from++]);
      continue;
    }
    PyRef list = checked(PyList_New(0));
    log_.noteFresh(list.get());
    for (size_t k = 0; k < rest; ++k)
      checked(PyList_Append(list.get(), items[from++].get()));
    assign(frame, *std::get<Starred>(targets[i]->node).value, std::move(list));
  }
}

void Interpreter::remove(PythonFrame &frame, const Expr &target) {
  if (auto *name = std::get_if<Name>(&target.node)) {
    remove(frame, name->binding);
  } else if (auto *access = std::get_if<Attribute>(&target.node)) {
    setAttribute(eval(frame, *access->object).get(), access->name.get(), nullptr);
  } else if (auto *subscript = std::get_if<Subscript>(&target.node)) {
    PyRef object = eval(frame, *subscript->object);
    setItem(object.get(), eval(frame, *subscript->index).get(), nullptr);
  } else if (auto *sequence = std::get_if<Sequence>(&target.node)) {
    for (const ExprPtr &element : sequence->elements)
      remove(frame, *element);
  }
}

} // namespace bifront
