#include "frontend/compile_node.h"
#include "frontend/reader.h"

#include <utility>

namespace bifront::syntax {
namespace {

// Whether what comes behind it in its block is dead.
bool leavesBlock(NodeKind kind) {
  return kind == NodeKind::Return || kind == NodeKind::Raise || kind == NodeKind::Break ||
         kind == NodeKind::Continue;
}

bool isTrue(const Constant &constant) { return PyObject_IsTrue(constant.value.get()) > 0; }

// What the compiler knows a condition to be: a constant's truth, also behind `not`; or nothing.
std::optional<bool> knownCondition(const Expr &condition) {
  if (auto *constant = std::get_if<Constant>(&condition.node))
    return isTrue(*constant);
  auto *unary = std::get_if<Unary>(&condition.node);
  if (!unary || unary->op != UnaryOp::Not)
    return {};
  std::optional<bool> operand = knownCondition(*unary->operand);
  return operand ? std::optional(!*operand) : std::nullopt;
}

void requireNotGeneric(PyObject *node) {
  PyRef parameters = getIfAny(node, Field::type_params);
  if (parameters && PyList_GET_SIZE(parameters.get()) > 0)
    throw Unread{"it defines a generic function or class"};
}

} // namespace

Reader::Reader(const Source &source, PyCodeObject *code)
    : node_(source.node), code_{PyRef::share(reinterpret_cast<PyObject *>(code)), source.compiled},
      lineShift_(source.lineShift),
      futureAnnotations_((code->co_flags & CO_FUTURE_ANNOTATIONS) != 0), names_(code) {}

std::shared_ptr<Function> Reader::read() {
  auto function = std::make_shared<Function>();
  function->code = code_.original;
  int flags = code_.originalCode()->co_flags;
  function->isGenerator = (flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) != 0;
  if (kindOf(node_.get()) == NodeKind::Lambda) {
    ExprPtr value = expression(node_.get(), Field::body);
    int line = value->place.line;
    function->body.push_back(std::make_unique<Stmt>(Stmt{Return{std::move(value)}, line}));
  } else if (kindOf(node_.get()) == NodeKind::FunctionDef) {
    function->body = body(node_.get(), Field::body);
  }
  names_.finish(*function);
  function->guardsYields = guardsYields_;
  return function;
}

//===- Blocks ------------------------------------------------------------------------------===//

Body Reader::body(PyObject *node, Field field) {
  Body result;
  statements(node, field, result);
  return result;
}

void Reader::statements(PyObject *node, Field field, Body &into) {
  bool wasDead = dead_, left = false;
  Body behind;
  forEach(node, field, [&](PyObject *item) {
    dead_ = wasDead || left;
    statement(item, left ? behind : into);
    left = left || leavesBlock(kindOf(item));
  });
  dead_ = wasDead;
  if (!behind.empty())
    deadCode_.push_back(std::move(behind));
}

void Reader::drop(PyObject *node, Field field) {
  bool wasDead = std::exchange(dead_, true);
  deadCode_.push_back(body(node, field));
  dead_ = wasDead;
}

void Reader::add(PyObject *node, Body &into, decltype(Stmt::node) content) {
  into.push_back(std::make_unique<Stmt>(Stmt{std::move(content), lineOf(node)}));
}

void Reader::statement(PyObject *node, Body &into) {
  switch (kindOf(node)) {
  case NodeKind::Expr: return add(node, into, ExprStmt{expression(node, Field::value)});
  case NodeKind::Assign:
    return add(node, into,
               Assign{expressions(node, Field::targets), expression(node, Field::value)});
  case NodeKind::AnnAssign: return annotatedAssign(node, into);
  case NodeKind::AugAssign:
    return add(node, into,
               AugAssign{expression(node, Field::target),
                         binaryOpOf(kindOf(get(node, Field::op).get())),
                         expression(node, Field::value)});
  case NodeKind::Delete: return add(node, into, Delete{expressions(node, Field::targets)});
  case NodeKind::Return: return add(node, into, Return{optionalExpression(node, Field::value)});
  case NodeKind::If: return ifStatement(node, into);
  case NodeKind::While: return whileStatement(node, into);
  case NodeKind::For:
    return add(node, into,
               For{expression(node, Field::target), expression(node, Field::iter),
                   body(node, Field::body), body(node, Field::orelse)});
  case NodeKind::Break: return add(node, into, Break{});
  case NodeKind::Continue: return add(node, into, Continue{});
  case NodeKind::Pass: return add(node, into, Pass{});
  case NodeKind::Global: // which the code has told
  case NodeKind::Nonlocal: return;
  case NodeKind::Raise:
    return add(node, into,
               Raise{optionalExpression(node, Field::exc), optionalExpression(node, Field::cause)});
  case NodeKind::Assert: return assertion(node, into);
  case NodeKind::Try: return tryStatement(node, into);
  case NodeKind::With: return with(node, into);
  case NodeKind::FunctionDef:
  case NodeKind::AsyncFunctionDef: return functionDef(node, into);
  case NodeKind::ClassDef: return classDef(node, into);
  case NodeKind::Import: return import(node, into);
  case NodeKind::ImportFrom: return importFrom(node, into);
  case NodeKind::Match: return match(node, into);
  case NodeKind::TryStar: throw Unread{"it has an `except*`"};
  case NodeKind::TypeAlias: throw Unread{"it has a `type` statement"};
  default: throw Unread{"it has a statement that is not known"};
  }
}

//===- Simple statements -------------------------------------------------------------------===//

// A function does not evaluate its annotations; without a value there are only the parts of the
// target, which the compiler evaluates.
void Reader::annotatedAssign(PyObject *node, Body &into) {
  ExprPtr target = expression(node, Field::target);
  if (ExprPtr value = optionalExpression(node, Field::value)) {
    Assign assign{{}, std::move(value)};
    assign.targets.push_back(std::move(target));
    return add(node, into, std::move(assign));
  }
  if (auto *attribute = std::get_if<Attribute>(&target->node))
    return add(node, into, ExprStmt{std::move(attribute->object)});
  if (auto *subscript = std::get_if<Subscript>(&target->node)) {
    add(node, into, ExprStmt{std::move(subscript->object)});
    return add(node, into, ExprStmt{std::move(subscript->index)});
  }
}

void Reader::assertion(PyObject *node, Body &into) {
  if (hasAsserts())
    add(node, into, Assert{expression(node, Field::test), optionalExpression(node, Field::msg)});
}

Binding Reader::bound(PyObject *identifier) {
  Binding place;
  names_.bind(identifier, place);
  return place;
}

std::unique_ptr<Binding> Reader::optionalBound(PyObject *node, Field field) {
  PyRef identifier = getIfAny(node, field);
  return identifier ? std::make_unique<Binding>(bound(identifier.get())) : nullptr;
}

// `import a.b` binds a.
void Reader::import(PyObject *node, Body &into) {
  forEach(node, Field::names, [&](PyObject *alias) {
    PyRef module = get(alias, Field::name), asName = getIfAny(alias, Field::asname);
    PyRef target = asName;
    if (!asName) {
      Py_ssize_t length = PyUnicode_GET_LENGTH(module.get());
      Py_ssize_t dot = PyUnicode_FindChar(module.get(), '.', 0, length, 1);
      target = checked(PyUnicode_Substring(module.get(), 0, dot < 0 ? length : dot));
    }
    add(node, into, Import{names_.mangled(module.get()), bound(target.get()), bool(asName)});
  });
}

void Reader::importFrom(PyObject *node, Body &into) {
  PyRef module = getIfAny(node, Field::module), level = getIfAny(node, Field::level);
  ImportFrom result{module ? module : checked(PyUnicode_InternFromString("")),
                    level ? static_cast<int>(PyLong_AsLong(level.get())) : 0,
                    {}};
  forEach(node, Field::names, [&](PyObject *alias) {
    PyRef name = get(alias, Field::name), asName = getIfAny(alias, Field::asname);
    result.names.emplace_back(names_.mangled(name.get()),
                              bound(asName ? asName.get() : name.get()));
  });
  add(node, into, std::move(result));
}

//===- Compound statements -----------------------------------------------------------------===//

void Reader::ifStatement(PyObject *node, Body &into) {
  ExprPtr condition = expression(node, Field::test);
  std::optional<bool> known = knownCondition(*condition);
  if (!known)
    return add(node, into,
               If{std::move(condition), body(node, Field::body), body(node, Field::orelse)});
  statements(node, *known ? Field::body : Field::orelse, into);
  drop(node, *known ? Field::orelse : Field::body);
}

void Reader::whileStatement(PyObject *node, Body &into) {
  ExprPtr condition = expression(node, Field::test);
  if (knownCondition(*condition) != false)
    return add(node, into,
               While{std::move(condition), body(node, Field::body), body(node, Field::orelse)});
  drop(node, Field::body);
  statements(node, Field::orelse, into);
}

void Reader::tryStatement(PyObject *node, Body &into) {
  Try result;
  ++guards_;
  result.body = body(node, Field::body);
  forEach(node, Field::handlers, [&](PyObject *handler) {
    result.handlers.push_back({optionalExpression(handler, Field::type),
                               optionalBound(handler, Field::name), body(handler, Field::body)});
  });
  result.otherwise = body(node, Field::orelse);
  result.finally = body(node, Field::finalbody);
  --guards_;
  add(node, into, std::move(result));
}

void Reader::with(PyObject *node, Body &into) {
  With result;
  ++guards_;
  forEach(node, Field::items, [&](PyObject *item) {
    result.items.push_back(
        {expression(item, Field::context_expr), optionalExpression(item, Field::optional_vars)});
  });
  result.body = body(node, Field::body);
  --guards_;
  add(node, into, std::move(result));
}

void Reader::functionDef(PyObject *node, Body &into) {
  requireNotGeneric(node);
  PyRef name = get(node, Field::name), arguments = get(node, Field::args);
  FunctionDef result;
  result.target = bound(name.get());
  result.code = nested(node, PyUnicode_AsUTF8(name.get()));
  result.decorators = expressions(node, Field::decorator_list);
  result.defaults = expressions(arguments.get(), Field::defaults);
  result.keywordDefaults = keywordDefaults(arguments.get());
  result.annotations = annotations(node);
  add(node, into, std::move(result));
}

void Reader::classDef(PyObject *node, Body &into) {
  requireNotGeneric(node);
  PyRef name = get(node, Field::name);
  ClassDef result;
  result.target = bound(name.get());
  result.name = name;
  result.code = nested(node, PyUnicode_AsUTF8(name.get()));
  result.decorators = expressions(node, Field::decorator_list);
  result.bases = expressions(node, Field::bases);
  result.keywords = keywords(node);
  add(node, into, std::move(result));
}

} // namespace bifront::syntax
