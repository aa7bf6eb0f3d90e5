#include "frontend/names.h"

#include "frontend/ast_nodes.h"
#include "frontend/code_object.h"

#include <string_view>

namespace bifront::syntax {
namespace {

std::vector<PyRef> itemsOf(PyObject *newTuple) {
  PyRef tuple = checked(newTuple);
  std::vector<PyRef> items;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple.get()); ++i)
    items.push_back(PyRef::share(PyTuple_GET_ITEM(tuple.get(), i)));
  return items;
}

std::string_view textOf(PyObject *identifier) {
  Py_ssize_t size = 0;
  const char *text = PyUnicode_AsUTF8AndSize(identifier, &size);
  if (!text)
    checked(nullptr);
  return {text, static_cast<size_t>(size)};
}

uint32_t numParameters(PyCodeObject *code) {
  return code->co_argcount + code->co_kwonlyargcount + ((code->co_flags & CO_VARARGS) != 0) +
         ((code->co_flags & CO_VARKEYWORDS) != 0);
}

} // namespace

Names::Names(PyCodeObject *code) : code_(code), privateClass_(enclosingClass(code)) {
  privateClass_.erase(0, privateClass_.find_first_not_of('_'));
  slotNames_ = itemsOf(PyCode_GetVarnames(code));
  for (const PyRef &name : slotNames_)
    slots_.emplace(name.get(), slots_.size());
  for (const PyRef &name : itemsOf(PyCode_GetCellvars(code)))
    cells_.emplace(name.get(), numCells_++);
  numOwnCells_ = numCells_;
  for (const PyRef &name : itemsOf(PyCode_GetFreevars(code)))
    closure_.emplace(name.get(), numCells_++);
  for (uint32_t i = 0; i < numParameters(code); ++i)
    bound_.insert(slotNames_[i].get());
}

PyRef Names::mangled(PyObject *identifier) const {
  std::string_view text = textOf(identifier);
  bool isPrivate = !privateClass_.empty() && text.starts_with("__") && !text.ends_with("__") &&
                   text.find('.') == std::string_view::npos;
  PyObject *name = isPrivate ? PyUnicode_FromFormat("_%s%U", privateClass_.c_str(), identifier)
                             : Py_NewRef(identifier);
  if (name)
    PyUnicode_InternInPlace(&name);
  return checked(name);
}

// A name is of one scope in the whole function, and those of the closure are told by the code. Its
// own ones are not: from 3.12 on the code has the names of its comprehensions among them.
Binding Names::inFunction(const PyRef &name) const {
  auto found = [&](const auto &map, Binding::Kind kind) {
    auto entry = map.find(name.get());
    return entry == map.end() ? Binding{Binding::Kind::Global, 0, name}
                              : Binding{kind, entry->second, name};
  };
  if (closure_.contains(name.get()))
    return found(closure_, Binding::Kind::Cell);
  if (cells_.contains(name.get()))
    return found(cells_, Binding::Kind::Cell);
  return found(slots_, Binding::Kind::Local);
}

void Names::load(PyObject *identifier, Binding &place) {
  PyRef name = mangled(identifier);
  if (Variable *variable = inComprehension(name.get()))
    return useVariable(*variable, place);
  place = inFunction(name);
  if (place.kind != Binding::Kind::Global && !closure_.contains(name.get()))
    loads_.push_back(&place);
}

void Names::bind(PyObject *identifier, Binding &place) {
  PyRef name = mangled(identifier);
  if (Variable *variable = inComprehension(name.get()))
    return useVariable(*variable, place);
  place = inFunction(name);
  if (place.kind != Binding::Kind::Global)
    bound_.insert(name.get());
}

Names::Variable *Names::inComprehension(PyObject *name) {
  for (auto scope = comprehensions_.rbegin(); scope != comprehensions_.rend(); ++scope)
    if (auto variable = scope->find(name); variable != scope->end())
      return &variable->second;
  return nullptr;
}

void Names::useVariable(Variable &variable, Binding &place) {
  place = variable.binding;
  variable.places.push_back(&place);
}

void Names::enterComprehension(const std::vector<PyRef> &identifiers) {
  Scope &scope = comprehensions_.emplace_back();
  for (const PyRef &identifier : identifiers) {
    PyRef name = mangled(identifier.get());
    auto slot = static_cast<uint32_t>(slotNames_.size());
    if (scope.try_emplace(name.get(), Variable{{Binding::Kind::Local, slot, name}, {}}).second)
      slotNames_.push_back(name);
  }
}

std::vector<uint32_t> Names::leaveComprehension() {
  std::vector<uint32_t> cells;
  for (const auto &[name, variable] : comprehensions_.back())
    if (variable.binding.kind == Binding::Kind::Cell)
      cells.push_back(variable.binding.index);
  comprehensions_.pop_back();
  return cells;
}

// Its slot stays, unused.
void Names::capture(Variable &variable) {
  if (variable.binding.kind == Binding::Kind::Cell)
    return;
  variable.binding.kind = Binding::Kind::Cell;
  variable.binding.index = numCells_++;
  for (Binding *place : variable.places)
    *place = variable.binding;
}

std::vector<uint32_t> Names::closureOf(PyCodeObject *nested) {
  std::vector<uint32_t> cells;
  for (const PyRef &name : itemsOf(PyCode_GetFreevars(nested))) {
    if (Variable *variable = inComprehension(name.get())) {
      capture(*variable);
      cells.push_back(variable->binding.index);
      continue;
    }
    Binding binding = inFunction(name);
    if (binding.kind != Binding::Kind::Cell)
      throw Unread{"a nested function captures a name that it does not have"};
    cells.push_back(binding.index);
  }
  return cells;
}

void Names::finish(Function &function) {
  for (Binding *place : loads_)
    if (!bound_.contains(place->name.get()))
      *place = {Binding::Kind::Global, 0, place->name};
  function.numSlots = slotNames_.size();
  function.slotNames = slotNames_;
  function.numCells = numOwnCells_;
  function.numComprehensionCells = numCells_ - numOwnCells_ - closure_.size();
  for (uint32_t i = 0; i < numParameters(code_); ++i)
    if (auto cell = cells_.find(slotNames_[i].get()); cell != cells_.end())
      function.cellParameters.emplace_back(i, cell->second);
  for (const auto &[name, cell] : closure_)
    if (textOf(name) == "__class__")
      function.classCell = cell;
}

} // namespace bifront::syntax
