#include "frontend/code_object.h"
#include "support/plain_constant.h"

#include <opcode.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <iterator>
#include <set>
#include <string_view>
#include <tuple>

namespace bifront::syntax {
namespace {

bool equal(PyObject *left, PyObject *right) {
  int result = PyObject_RichCompareBool(left, right, Py_EQ);
  if (result < 0)
    PyErr_Clear();
  return result > 0;
}

// Both are new references, or null after a failure.
bool equalAndRelease(PyObject *left, PyObject *right) {
  PyRef first = PyRef::steal(left), second = PyRef::steal(right);
  if (first && second)
    return equal(first.get(), second.get());
  PyErr_Clear();
  return false;
}

bool sameItems(PyObject *left, PyObject *right) {
  if (PyTuple_GET_SIZE(left) != PyTuple_GET_SIZE(right))
    return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(left); ++i)
    if (!sameConstant(PyTuple_GET_ITEM(left, i), PyTuple_GET_ITEM(right, i)))
      return false;
  return true;
}

// A set of the constants' types as well, since 1 == True.
PyRef typedItems(PyObject *set) {
  PyRef result = PyRef::steal(PySet_New(nullptr)), iterator = PyRef::steal(PyObject_GetIter(set));
  while (PyRef item = PyRef::steal(iterator ? PyIter_Next(iterator.get()) : nullptr)) {
    PyRef typed = PyRef::steal(PyTuple_Pack(2, Py_TYPE(item.get()), item.get()));
    if (!result || !typed || PySet_Add(result.get(), typed.get()) < 0)
      break;
  }
  PyErr_Clear();
  return result;
}

bool isClassBody(PyCodeObject *code) { return !(code->co_flags & CO_OPTIMIZED); }

bool isNumber(PyObject *value, long number) {
  int overflow = 0;
  return PyLong_AsLongAndOverflow(value, &overflow) == number && !overflow;
}

// A class body keeps its own qualified name, which says where it is compiled. From 3.13 on it keeps
// its own line (__firstlineno__) and, in the random order of a set, the attributes that its methods
// assign (__static_attributes__). Which code it is does not hang on them.
bool isIncidental(PyObject *left, PyObject *right, PyCodeObject *in, PyCodeObject *rightIn) {
  if (!isClassBody(in))
    return false;
  if (PyUnicode_CheckExact(left) && PyUnicode_CheckExact(right))
    return equal(left, in->co_qualname) && equal(right, rightIn->co_qualname);
  if (PY_VERSION_HEX < 0x030D0000)
    return false;
  if (PyLong_CheckExact(left) && PyLong_CheckExact(right))
    return isNumber(left, in->co_firstlineno) && isNumber(right, rightIn->co_firstlineno);
  if (!PyTuple_CheckExact(left) || !PyTuple_CheckExact(right))
    return false;
  return equalAndRelease(PySet_New(left), PySet_New(right));
}

bool sameConstants(PyCodeObject *left, PyCodeObject *right) {
  if (PyTuple_GET_SIZE(left->co_consts) != PyTuple_GET_SIZE(right->co_consts))
    return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(left->co_consts); ++i) {
    PyObject *mine = PyTuple_GET_ITEM(left->co_consts, i);
    PyObject *other = PyTuple_GET_ITEM(right->co_consts, i);
    if (!sameConstant(mine, other) && !isIncidental(mine, other, left, right))
      return false;
  }
  return true;
}

// The others depend on where the code is compiled, as CO_NESTED does.
constexpr int kFlags = CO_OPTIMIZED | CO_NEWLOCALS | CO_VARARGS | CO_VARKEYWORDS | CO_GENERATOR |
                       CO_COROUTINE | CO_ASYNC_GENERATOR | PyCF_MASK;

bool sameNames(PyCodeObject *left, PyCodeObject *right) {
  return equal(left->co_names, right->co_names) &&
         equalAndRelease(PyCode_GetVarnames(left), PyCode_GetVarnames(right)) &&
         equalAndRelease(PyCode_GetCellvars(left), PyCode_GetCellvars(right)) &&
         equalAndRelease(PyCode_GetFreevars(left), PyCode_GetFreevars(right));
}

} // namespace

bool sameConstant(PyObject *left, PyObject *right) {
  if (left == right)
    return true;
  if (Py_TYPE(left) != Py_TYPE(right))
    return false;
  if (isPlainConstant(left))
    return bifront::sameConstant(left, right);
  if (PyTuple_CheckExact(left))
    return sameItems(left, right);
  if (PyCode_Check(left))
    return sameCode(reinterpret_cast<PyCodeObject *>(left),
                    reinterpret_cast<PyCodeObject *>(right));
  if (PyFrozenSet_CheckExact(left)) {
    PyRef mine = typedItems(left), other = typedItems(right);
    return mine && other && equal(mine.get(), other.get());
  }
  // Of any other type than these, put there by code.replace(), only the same object will do: the
  // program's own __eq__ is not run.
  return false;
}

bool sameCode(PyCodeObject *left, PyCodeObject *right) {
  return left->co_argcount == right->co_argcount &&
         left->co_posonlyargcount == right->co_posonlyargcount &&
         left->co_kwonlyargcount == right->co_kwonlyargcount &&
         (left->co_flags & kFlags) == (right->co_flags & kFlags) &&
         equal(left->co_name, right->co_name) && sameNames(left, right) &&
         equal(left->co_exceptiontable, right->co_exceptiontable) &&
         equalAndRelease(PyCode_GetCode(left), PyCode_GetCode(right)) && sameConstants(left, right);
}

std::string enclosingClass(PyCodeObject *code) {
  const char *text = PyUnicode_AsUTF8(code->co_qualname);
  if (!text) {
    PyErr_Clear();
    return {};
  }
  // A.f and A.f.<locals>.g are in class A; the last part is the code itself.
  std::string_view name = text;
  constexpr std::string_view locals = "<locals>";
  size_t end = name.rfind('.');
  while (end != std::string_view::npos && end > 0) {
    size_t dot = name.rfind('.', end - 1);
    size_t start = dot == std::string_view::npos ? 0 : dot + 1;
    std::string_view part = name.substr(start, end - start);
    if (part != locals)
      return std::string(part);
    if (dot == std::string_view::npos)
      break;
    end = name.rfind('.', dot - 1); // past the function whose locals they are
  }
  return {};
}

namespace {

// The name whose value the instruction leaves on top of the stack, or null. Borrowed.
PyObject *loadedName(PyCodeObject *code, int opcode, int argument) {
  auto local = [&](int index) { return PyTuple_GET_ITEM(code->co_localsplusnames, index); };
  switch (opcode) {
  case LOAD_NAME: return PyTuple_GET_ITEM(code->co_names, argument);
  case LOAD_GLOBAL: return PyTuple_GET_ITEM(code->co_names, argument >> 1);
  case LOAD_FAST:
  case LOAD_DEREF:
#ifdef LOAD_CLASSDEREF
  case LOAD_CLASSDEREF:
#endif
#ifdef LOAD_FAST_CHECK
  case LOAD_FAST_CHECK:
#endif
#ifdef LOAD_FROM_DICT_OR_DEREF
  case LOAD_FROM_DICT_OR_DEREF:
#endif
    return local(argument);
#ifdef LOAD_FROM_DICT_OR_GLOBALS
  case LOAD_FROM_DICT_OR_GLOBALS: return PyTuple_GET_ITEM(code->co_names, argument);
#endif
#ifdef LOAD_FAST_LOAD_FAST
  case LOAD_FAST_LOAD_FAST:
  case STORE_FAST_LOAD_FAST: return local(argument & 15);
#endif
  default: return nullptr;
  }
}

bool loadsMethod(int opcode, int argument) {
#ifdef LOAD_METHOD
  (void)argument;
  return opcode == LOAD_METHOD;
#else
  return opcode == LOAD_ATTR && argument & 1;
#endif
}

void collectImportedNames(PyCodeObject *code, std::set<std::string> &read,
                          std::set<std::string> &ofMethods) {
  PyRef bytes = checked(PyCode_GetCode(code));
  auto *units = reinterpret_cast<const unsigned char *>(PyBytes_AS_STRING(bytes.get()));
  PyObject *top = nullptr;
  int argument = 0;
  for (Py_ssize_t at = 0; at + 1 < PyBytes_GET_SIZE(bytes.get()); at += 2) {
    int opcode = units[at];
    argument = argument << 8 | units[at + 1];
    if (opcode == EXTENDED_ARG)
      continue;
    if (opcode != CACHE) {
      const char *name = top ? PyUnicode_AsUTF8(top) : nullptr;
      if (name && loadsMethod(opcode, argument))
        ofMethods.insert(name);
      else if (name && opcode == LOAD_ATTR)
        read.insert(name);
      top = loadedName(code, opcode, argument);
    }
    argument = 0;
  }
  PyErr_Clear(); // a name that is no text, as code.replace() can make it
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_consts); ++i)
    if (PyObject *constant = PyTuple_GET_ITEM(code->co_consts, i); PyCode_Check(constant))
      collectImportedNames(reinterpret_cast<PyCodeObject *>(constant), read, ofMethods);
}

} // namespace

std::vector<std::string> importedNames(PyCodeObject *code) {
  std::set<std::string> read, ofMethods;
  collectImportedNames(code, read, ofMethods);
  std::vector<std::string> result;
  std::set_difference(read.begin(), read.end(), ofMethods.begin(), ofMethods.end(),
                      std::back_inserter(result));
  return result;
}

SourceExtent extentOfCode(PyCodeObject *code) {
  SourceExtent whole{INT_MAX, INT_MAX, 0, 0};
  PyRef positions =
      checked(PyObject_CallMethod(reinterpret_cast<PyObject *>(code), "co_positions", nullptr));
  while (PyRef position = PyRef::steal(PyIter_Next(positions.get()))) {
    auto part = [&](int index) {
      PyObject *value = PyTuple_GET_ITEM(position.get(), index);
      return PyLong_Check(value) ? static_cast<int>(PyLong_AsLong(value)) : -1;
    };
    SourceExtent one{part(0), part(2), part(1), part(3)};
    // The function's prologue and epilogue are said to be at its first line, without columns.
    if (one.column < 0 || one.endColumn <= 0)
      continue;
    std::tie(whole.line, whole.column) =
        std::min(std::tie(whole.line, whole.column), std::tie(one.line, one.column));
    std::tie(whole.endLine, whole.endColumn) =
        std::max(std::tie(whole.endLine, whole.endColumn), std::tie(one.endLine, one.endColumn));
  }
  PyErr_Clear();
  return whole;
}

} // namespace bifront::syntax
