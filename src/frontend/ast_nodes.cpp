#include "frontend/ast_nodes.h"

#include <array>
#include <tuple>
#include <unordered_map>

namespace bifront::syntax {
namespace {

// Never destroyed: the interpreter ends before C++ statics do.
const std::unordered_map<PyTypeObject *, NodeKind> &kinds() {
  static const auto *map = [] {
    auto *made = new std::unordered_map<PyTypeObject *, NodeKind>;
    PyRef module = checked(PyImport_ImportModule("_ast"));
    auto add = [&](const char *name, NodeKind kind) {
      if (PyObject *type = PyObject_GetAttrString(module.get(), name))
        made->emplace(reinterpret_cast<PyTypeObject *>(type), kind);
      else
        PyErr_Clear(); // an older Python
    };
#define X(name) add(#name, NodeKind::name);
    BIFRONT_AST_KINDS(X)
#undef X
    return made;
  }();
  return *map;
}

PyObject *fieldName(Field field) {
  static const auto *names = new std::array{
#define X(name) PyUnicode_InternFromString(#name),
      BIFRONT_AST_FIELDS(X)
#undef X
  };
  return (*names)[static_cast<size_t>(field)];
}

} // namespace

PyRef checked(PyObject *newReference) {
  if (newReference)
    return PyRef::steal(newReference);
  PyErr_Clear();
  throw Unread{"Python failed while its source was read"};
}

NodeKind kindOf(PyObject *node) {
  auto found = kinds().find(Py_TYPE(node));
  return found == kinds().end() ? NodeKind::Unknown : found->second;
}

PyRef get(PyObject *node, Field field) { return checked(PyObject_GetAttr(node, fieldName(field))); }

PyRef getIfAny(PyObject *node, Field field) {
  PyRef value = PyRef::steal(PyObject_GetAttr(node, fieldName(field)));
  if (!value)
    PyErr_Clear();
  return value.get() == Py_None ? PyRef() : value;
}

int getInt(PyObject *node, Field field) {
  return static_cast<int>(PyLong_AsLong(get(node, field).get()));
}

void set(PyObject *node, Field field, PyObject *value) {
  if (PyObject_SetAttr(node, fieldName(field), value) < 0)
    checked(nullptr);
}

SourceExtent extentOf(PyObject *node) {
  return {getInt(node, Field::lineno), getInt(node, Field::col_offset),
          getInt(node, Field::end_lineno), getInt(node, Field::end_col_offset)};
}

int firstLineOf(PyObject *statement) {
  PyRef decorators = getIfAny(statement, Field::decorator_list);
  if (decorators && PyList_GET_SIZE(decorators.get()) > 0)
    return getInt(PyList_GET_ITEM(decorators.get(), 0), Field::lineno);
  return getInt(statement, Field::lineno);
}

bool SourceExtent::holdsStartOf(const SourceExtent &other) const {
  auto start = std::tie(other.line, other.column);
  return std::tie(line, column) <= start && start <= std::tie(endLine, endColumn);
}

bool SourceExtent::holds(const SourceExtent &other) const {
  return std::tie(line, column) <= std::tie(other.line, other.column) &&
         std::tie(other.endLine, other.endColumn) <= std::tie(endLine, endColumn);
}

} // namespace bifront::syntax
