// Reads the ast nodes of one function into the tree of syntax.h.
#pragma once

#include "frontend/ast_nodes.h"
#include "frontend/names.h"
#include "frontend/nested_code.h"
#include "frontend/source.h"
#include "frontend/syntax.h"

#include <memory>
#include <utility>
#include <vector>

namespace bifront::syntax {

BinaryOp binaryOpOf(NodeKind kind);

class Reader {
public:
  Reader(const Source &source, PyCodeObject *code);

  // Once only. Throws Unread.
  std::shared_ptr<Function> read();

private:
  // Expressions (read_expressions.cpp).
  ExprPtr expression(PyObject *node);
  ExprPtr expression(PyObject *node, Field field) { return expression(get(node, field).get()); }
  ExprPtr optionalExpression(PyObject *node, Field field);
  std::vector<ExprPtr> expressions(PyObject *node, Field field);
  std::vector<Keyword> keywords(PyObject *node);
  ExprPtr expressionOfKind(PyObject *node, NodeKind kind);
  ExprPtr made(PyObject *node, decltype(Expr::node) content);
  ExprPtr name(PyObject *node);
  ExprPtr constant(PyObject *node, PyRef value);
  ExprPtr sequence(PyObject *node, Sequence::Kind kind);
  ExprPtr foldedTuple(PyObject *node, const std::vector<ExprPtr> &elements);
  ExprPtr unary(PyObject *node);
  ExprPtr dictDisplay(PyObject *node);
  ExprPtr comparison(PyObject *node);
  ExprPtr lambda(PyObject *node);
  ExprPtr comprehension(PyObject *node, Comprehension::Kind kind);
  ComprehensionClause clause(PyObject *node, ExprPtr firstIterable);
  CodePair comprehensionCode(PyObject *node, Comprehension::Kind kind);

  // What def, class and lambda have in common.
  NestedCode nested(PyObject *node, const char *codeName);
  std::vector<std::pair<PyRef, ExprPtr>> keywordDefaults(PyObject *arguments);
  std::vector<std::pair<PyRef, ExprPtr>> annotations(PyObject *def);
  ExprPtr annotation(PyObject *node);

  // Statements (read_statements.cpp). Some nodes are no statement of ours, or several.
  Body body(PyObject *node, Field field);
  void statements(PyObject *node, Field field, Body &into);
  void statement(PyObject *node, Body &into);
  void add(PyObject *node, Body &into, decltype(Stmt::node) content);
  void drop(PyObject *node, Field field);
  void annotatedAssign(PyObject *node, Body &into);
  void ifStatement(PyObject *node, Body &into);
  void whileStatement(PyObject *node, Body &into);
  void assertion(PyObject *node, Body &into);
  void tryStatement(PyObject *node, Body &into);
  void with(PyObject *node, Body &into);
  void functionDef(PyObject *node, Body &into);
  void classDef(PyObject *node, Body &into);
  void import(PyObject *node, Body &into);
  void importFrom(PyObject *node, Body &into);
  Binding bound(PyObject *identifier);
  std::unique_ptr<Binding> optionalBound(PyObject *node, Field field);

  // Patterns (read_patterns.cpp).
  void match(PyObject *node, Body &into);
  PatternPtr pattern(PyObject *node);
  PatternPtr mappingPattern(PyObject *node);
  PatternPtr classPattern(PyObject *node);
  std::vector<PatternPtr> patterns(PyObject *node, Field field);

  SourceExtent placeOf(PyObject *node) const {
    SourceExtent place = extentOf(node);
    place.line += lineShift_;
    place.endLine += lineShift_;
    return place;
  }
  int lineOf(PyObject *node) const { return getInt(node, Field::lineno) + lineShift_; }

  PyRef node_;
  CodePair code_; // of the function, or of the comprehension that is being read
  int lineShift_;
  bool futureAnnotations_;
  Names names_;
  int depth_ = 0;
  int guards_ = 0; // the `try` and `with` around what is being read
  bool guardsYields_ = false;
  // Statements that cannot run, as the compiler knows: it has made no code of them. They are read
  // for the names that they bind, and kept, since names_ points into them.
  bool dead_ = false;
  std::vector<Body> deadCode_;
};

} // namespace bifront::syntax
