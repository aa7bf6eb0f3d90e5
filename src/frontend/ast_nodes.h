// Reading the nodes of Python's `ast` module. Every function here throws Unread where Python fails.
#pragma once

#include "frontend/source_extent.h"
#include "support/py_ref.h"

#include <cstdint>
#include <string>

namespace bifront::syntax {

// Thrown where a function's syntax cannot be had; the clause says why. No Python exception is set.
struct Unread {
  std::string why;
};

// clang-format off: it does not know how to break such a list
#define BIFRONT_AST_KINDS(X) \
  X(Add) X(And) X(AnnAssign) X(Assert) X(Assign) X(AsyncFor) X(AsyncFunctionDef) X(AsyncWith) \
  X(Attribute) X(AugAssign) X(Await) X(BinOp) X(BitAnd) X(BitOr) X(BitXor) X(BoolOp) X(Break) \
  X(Call) X(ClassDef) X(Compare) X(Constant) X(Continue) X(Delete) X(Dict) X(DictComp) X(Div) \
  X(Eq) X(Expr) X(FloorDiv) X(For) X(FormattedValue) X(FunctionDef) X(GeneratorExp) X(Global) \
  X(Gt) X(GtE) X(If) X(IfExp) X(Import) X(ImportFrom) X(In) X(Invert) X(Is) X(IsNot) X(JoinedStr) \
  X(LShift) X(Lambda) X(List) X(ListComp) X(Load) X(Lt) X(LtE) X(MatMult) X(Match) X(MatchAs) \
  X(MatchClass) X(MatchMapping) X(MatchOr) X(MatchSequence) X(MatchSingleton) X(MatchStar) \
  X(MatchValue) X(Mod) X(Mult) X(Name) X(NamedExpr) X(Nonlocal) X(Not) X(NotEq) X(NotIn) X(Or) \
  X(Pass) X(Pow) X(RShift) X(Raise) X(Return) X(Set) X(SetComp) X(Slice) X(Starred) X(Store) \
  X(Sub) X(Subscript) X(Try) X(TryStar) X(Tuple) X(TypeAlias) X(UAdd) X(USub) X(UnaryOp) X(While) \
  X(With) X(Yield) X(YieldFrom)
// clang-format on

enum class NodeKind : uint8_t {
#define X(name) name,
  BIFRONT_AST_KINDS(X)
#undef X
      Unknown, // of a Python that is newer than this list
};

// clang-format off: it does not know how to break such a list
#define BIFRONT_AST_FIELDS(X) \
  X(_fields) X(annotation) X(arg) X(args) X(asname) X(attr) X(bases) X(body) X(cases) X(cause) \
  X(cls) X(col_offset) X(comparators) X(context_expr) X(conversion) X(ctx) X(decorator_list) \
  X(defaults) X(elt) X(elts) X(end_col_offset) X(end_lineno) X(exc) X(finalbody) X(format_spec) \
  X(func) X(generators) X(guard) X(handlers) X(id) X(ifs) X(is_async) X(items) X(iter) X(key) \
  X(keys) X(keywords) X(kw_defaults) X(kwarg) X(kwd_attrs) X(kwd_patterns) X(kwonlyargs) X(left) \
  X(level) X(lineno) X(lower) X(module) X(msg) X(name) X(names) X(op) X(operand) X(ops) \
  X(optional_vars) X(orelse) X(pattern) X(patterns) X(posonlyargs) X(rest) X(returns) X(right) \
  X(slice) X(step) X(subject) X(target) X(targets) X(test) X(type) X(type_params) X(upper) \
  X(value) X(values) X(vararg)
// clang-format on

enum class Field : uint8_t {
#define X(name) name,
  BIFRONT_AST_FIELDS(X)
#undef X
};

NodeKind kindOf(PyObject *node);
PyRef get(PyObject *node, Field field);
PyRef getIfAny(PyObject *node, Field field); // null for None, and where there is no such field
int getInt(PyObject *node, Field field);
void set(PyObject *node, Field field, PyObject *value);
SourceExtent extentOf(PyObject *node);
// The line that the code object of a def or class statement starts at: that of a decorator, if any.
int firstLineOf(PyObject *statement);

// Calls `each(item)` for the items of a list field.
template <class Each> void forEach(PyObject *node, Field field, Each &&each) {
  PyRef list = get(node, field);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.get()); ++i)
    each(PyList_GET_ITEM(list.get(), i));
}

// `object` if it is one; else throws, and clears Python's exception.
PyRef checked(PyObject *newReference);

} // namespace bifront::syntax
