#include "frontend/code_object.h"
#include "frontend/compile_node.h"
#include "frontend/reader.h"

#include <array>
#include <utility>

namespace bifront::syntax {
namespace {

CompareOp compareOpOf(NodeKind kind) {
  switch (kind) {
  case NodeKind::Lt: return CompareOp::Lt;
  case NodeKind::LtE: return CompareOp::Le;
  case NodeKind::Eq: return CompareOp::Eq;
  case NodeKind::NotEq: return CompareOp::Ne;
  case NodeKind::Gt: return CompareOp::Gt;
  case NodeKind::GtE: return CompareOp::Ge;
  case NodeKind::Is: return CompareOp::Is;
  case NodeKind::IsNot: return CompareOp::IsNot;
  case NodeKind::In: return CompareOp::In;
  case NodeKind::NotIn: return CompareOp::NotIn;
  default: throw Unread{"it has an operator that is not known"};
  }
}

UnaryOp unaryOpOf(NodeKind kind) {
  switch (kind) {
  case NodeKind::Not: return UnaryOp::Not;
  case NodeKind::USub: return UnaryOp::Negative;
  case NodeKind::UAdd: return UnaryOp::Positive;
  case NodeKind::Invert: return UnaryOp::Invert;
  default: throw Unread{"it has an operator that is not known"};
  }
}

NodeKind opOf(PyObject *node) { return kindOf(get(node, Field::op).get()); }

// The code's own object for a constant, so that `is` finds what CPython finds; or null.
PyRef constantOf(PyCodeObject *code, PyObject *value) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_consts); ++i)
    if (PyObject *constant = PyTuple_GET_ITEM(code->co_consts, i); sameConstant(constant, value))
      return PyRef::share(constant);
  return {};
}

bool isNumber(PyObject *value) {
  return PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyComplex_CheckExact(value);
}

// The names that a comprehension's target binds.
void collectBound(PyObject *target, std::vector<PyRef> &names) {
  switch (kindOf(target)) {
  case NodeKind::Name: names.push_back(get(target, Field::id)); return;
  case NodeKind::Starred: return collectBound(get(target, Field::value).get(), names);
  case NodeKind::Tuple:
  case NodeKind::List:
    return forEach(target, Field::elts, [&](PyObject *item) { collectBound(item, names); });
  default: // an attribute or an item binds nothing
    return;
  }
}

const char *codeNameOf(Comprehension::Kind kind) {
  constexpr std::array names{"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"};
  return names[static_cast<size_t>(kind)];
}

PyRef firstItem(PyObject *node, Field field) {
  return PyRef::share(PyList_GET_ITEM(get(node, field).get(), 0));
}

} // namespace

BinaryOp binaryOpOf(NodeKind kind) {
  switch (kind) {
  case NodeKind::Add: return BinaryOp::Add;
  case NodeKind::BitAnd: return BinaryOp::And;
  case NodeKind::FloorDiv: return BinaryOp::FloorDivide;
  case NodeKind::LShift: return BinaryOp::LeftShift;
  case NodeKind::MatMult: return BinaryOp::MatrixMultiply;
  case NodeKind::Mult: return BinaryOp::Multiply;
  case NodeKind::Mod: return BinaryOp::Remainder;
  case NodeKind::BitOr: return BinaryOp::Or;
  case NodeKind::Pow: return BinaryOp::Power;
  case NodeKind::RShift: return BinaryOp::RightShift;
  case NodeKind::Sub: return BinaryOp::Subtract;
  case NodeKind::Div: return BinaryOp::TrueDivide;
  case NodeKind::BitXor: return BinaryOp::Xor;
  default: throw Unread{"it has an operator that is not known"};
  }
}

ExprPtr Reader::expression(PyObject *node) {
  constexpr int deepest = 1000; // the C stack's sake; CPython's own parser allows 6,000
  if (++depth_ > deepest)
    throw Unread{"its expressions are nested too deeply"};
  ExprPtr result = expressionOfKind(node, kindOf(node));
  --depth_;
  return result;
}

ExprPtr Reader::expressionOfKind(PyObject *node, NodeKind kind) {
  switch (kind) {
  case NodeKind::Constant: return constant(node, get(node, Field::value));
  case NodeKind::Name: return name(node);
  case NodeKind::Attribute:
    return made(node, Attribute{expression(node, Field::value),
                                names_.mangled(get(node, Field::attr).get())});
  case NodeKind::Subscript:
    return made(node, Subscript{expression(node, Field::value), expression(node, Field::slice)});
  case NodeKind::Slice:
    return made(node, Slice{optionalExpression(node, Field::lower),
                            optionalExpression(node, Field::upper),
                            optionalExpression(node, Field::step)});
  case NodeKind::Starred: return made(node, Starred{expression(node, Field::value)});
  case NodeKind::Tuple: return sequence(node, Sequence::Kind::Tuple);
  case NodeKind::List: return sequence(node, Sequence::Kind::List);
  case NodeKind::Set: return sequence(node, Sequence::Kind::Set);
  case NodeKind::Dict: return dictDisplay(node);
  case NodeKind::UnaryOp: return unary(node);
  case NodeKind::BinOp:
    return made(node, Binary{binaryOpOf(opOf(node)), expression(node, Field::left),
                             expression(node, Field::right)});
  case NodeKind::BoolOp:
    return made(node, BoolOperation{opOf(node) == NodeKind::And, expressions(node, Field::values)});
  case NodeKind::Compare: return comparison(node);
  case NodeKind::Call:
    return made(
        node, Call{expression(node, Field::func), expressions(node, Field::args), keywords(node)});
  case NodeKind::IfExp:
    return made(node, Conditional{expression(node, Field::test), expression(node, Field::body),
                                  expression(node, Field::orelse)});
  case NodeKind::NamedExpr:
    return made(node, NamedValue{expression(node, Field::target), expression(node, Field::value)});
  case NodeKind::FormattedValue:
    return made(node, Interpolation{expression(node, Field::value), getInt(node, Field::conversion),
                                    optionalExpression(node, Field::format_spec)});
  case NodeKind::JoinedStr: return made(node, JoinedString{expressions(node, Field::values)});
  case NodeKind::Lambda: return lambda(node);
  case NodeKind::ListComp: return comprehension(node, Comprehension::Kind::List);
  case NodeKind::SetComp: return comprehension(node, Comprehension::Kind::Set);
  case NodeKind::DictComp: return comprehension(node, Comprehension::Kind::Dict);
  case NodeKind::GeneratorExp: return comprehension(node, Comprehension::Kind::Generator);
  case NodeKind::Yield:
    guardsYields_ |= guards_ > 0;
    return made(node, Yield{optionalExpression(node, Field::value), false});
  case NodeKind::YieldFrom:
    guardsYields_ |= guards_ > 0;
    return made(node, Yield{expression(node, Field::value), true});
  default: throw Unread{"it has an expression that is not known"};
  }
}

ExprPtr Reader::optionalExpression(PyObject *node, Field field) {
  PyRef child = getIfAny(node, field);
  return child ? expression(child.get()) : nullptr;
}

std::vector<ExprPtr> Reader::expressions(PyObject *node, Field field) {
  std::vector<ExprPtr> result;
  forEach(node, field, [&](PyObject *item) { result.push_back(expression(item)); });
  return result;
}

std::vector<Keyword> Reader::keywords(PyObject *node) {
  std::vector<Keyword> result;
  forEach(node, Field::keywords, [&](PyObject *keyword) {
    result.push_back({getIfAny(keyword, Field::arg), expression(keyword, Field::value)});
  });
  return result;
}

ExprPtr Reader::made(PyObject *node, decltype(Expr::node) content) {
  return std::make_unique<Expr>(Expr{std::move(content), placeOf(node)});
}

ExprPtr Reader::name(PyObject *node) {
  PyRef identifier = get(node, Field::id);
  if (PyUnicode_CompareWithASCIIString(identifier.get(), "__debug__") == 0)
    return constant(node, checked(PyBool_FromLong(hasAsserts())));
  ExprPtr result = made(node, Name{});
  Binding &place = std::get<Name>(result->node).binding;
  if (kindOf(get(node, Field::ctx).get()) == NodeKind::Load)
    names_.load(identifier.get(), place);
  else
    names_.bind(identifier.get(), place);
  return result;
}

ExprPtr Reader::constant(PyObject *node, PyRef value) {
  PyRef own = constantOf(code_.originalCode(), value.get());
  return made(node, Constant{own ? own : std::move(value)});
}

ExprPtr Reader::sequence(PyObject *node, Sequence::Kind kind) {
  std::vector<ExprPtr> elements = expressions(node, Field::elts);
  if (kind == Sequence::Kind::Tuple && kindOf(get(node, Field::ctx).get()) == NodeKind::Load)
    if (ExprPtr folded = foldedTuple(node, elements))
      return folded;
  return made(node, Sequence{kind, std::move(elements)});
}

// A tuple of constants is one object in CPython, the same each time; or null.
ExprPtr Reader::foldedTuple(PyObject *node, const std::vector<ExprPtr> &elements) {
  PyRef tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(elements.size())));
  for (size_t i = 0; i < elements.size(); ++i) {
    auto *constant = std::get_if<Constant>(&elements[i]->node);
    if (!constant)
      return nullptr;
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), Py_NewRef(constant->value.get()));
  }
  PyRef own = constantOf(code_.originalCode(), tuple.get());
  return own ? made(node, Constant{std::move(own)}) : nullptr;
}

// A negative number is a constant to the compiler.
ExprPtr Reader::unary(PyObject *node) {
  ExprPtr operand = expression(node, Field::operand);
  UnaryOp op = unaryOpOf(opOf(node));
  auto *number = std::get_if<Constant>(&operand->node);
  if (op == UnaryOp::Negative && number && isNumber(number->value.get()))
    return constant(node, checked(PyNumber_Negative(number->value.get())));
  return made(node, Unary{op, std::move(operand)});
}

ExprPtr Reader::dictDisplay(PyObject *node) {
  DictDisplay display;
  forEach(node, Field::keys, [&](PyObject *key) {
    display.keys.push_back(key == Py_None ? nullptr : expression(key));
  });
  display.values = expressions(node, Field::values);
  return made(node, std::move(display));
}

ExprPtr Reader::comparison(PyObject *node) {
  Comparison result{expression(node, Field::left), {}, expressions(node, Field::comparators)};
  forEach(node, Field::ops, [&](PyObject *op) { result.ops.push_back(compareOpOf(kindOf(op))); });
  return made(node, std::move(result));
}

//===- Comprehensions ----------------------------------------------------------------------===//

ExprPtr Reader::comprehension(PyObject *node, Comprehension::Kind kind) {
  Comprehension result;
  result.kind = kind;
  // Evaluated outside, before the names are bound.
  ExprPtr firstIterable = expression(firstItem(node, Field::generators).get(), Field::iter);
  CodePair outer = code_;
  code_ = comprehensionCode(node, kind);
  std::vector<PyRef> bound;
  forEach(node, Field::generators,
          [&](PyObject *item) { collectBound(get(item, Field::target).get(), bound); });
  names_.enterComprehension(bound);
  forEach(node, Field::generators, [&](PyObject *item) {
    result.clauses.push_back(clause(item, std::move(firstIterable)));
  });
  bool isDict = kind == Comprehension::Kind::Dict;
  result.element = expression(node, isDict ? Field::key : Field::elt);
  if (isDict)
    result.value = expression(node, Field::value);
  result.freshCells = names_.leaveComprehension();
  if (kind == Comprehension::Kind::Generator)
    result.code = {code_.original,
                   dead_ ? std::vector<uint32_t>{} : names_.closureOf(code_.originalCode())};
  code_ = std::move(outer);
  return made(node, std::move(result));
}

// `firstIterable` is that of the first clause, and null for the others.
ComprehensionClause Reader::clause(PyObject *node, ExprPtr firstIterable) {
  if (getInt(node, Field::is_async))
    throw Unread{"it has an asynchronous comprehension"};
  ComprehensionClause result;
  result.iterable = firstIterable ? std::move(firstIterable) : expression(node, Field::iter);
  result.target = expression(node, Field::target);
  result.conditions = expressions(node, Field::ifs);
  return result;
}

// From 3.12 on all but generator expressions are compiled into the code around them.
CodePair Reader::comprehensionCode(PyObject *node, Comprehension::Kind kind) {
  if (dead_ || (PY_VERSION_HEX >= 0x030C0000 && kind != Comprehension::Kind::Generator))
    return code_;
  if (std::optional<CodePair> own = nestedCode(code_, node, codeNameOf(kind)))
    return *own;
  throw Unread{"a comprehension of it has no code"};
}

//===- Functions in functions --------------------------------------------------------------===//

NestedCode Reader::nested(PyObject *node, const char *codeName) {
  std::optional<CodePair> found = nestedCode(code_, node, codeName);
  if (found)
    return {found->original, names_.closureOf(found->originalCode())};
  if (!dead_)
    throw Unread{"a nested function of it has no code"};
  return {};
}

ExprPtr Reader::lambda(PyObject *node) {
  PyRef arguments = get(node, Field::args);
  return made(node, Lambda{nested(node, "<lambda>"), expressions(arguments.get(), Field::defaults),
                           keywordDefaults(arguments.get())});
}

std::vector<std::pair<PyRef, ExprPtr>> Reader::keywordDefaults(PyObject *arguments) {
  std::vector<std::pair<PyRef, ExprPtr>> result;
  PyRef defaults = get(arguments, Field::kw_defaults);
  Py_ssize_t index = 0;
  forEach(arguments, Field::kwonlyargs, [&](PyObject *parameter) {
    PyObject *value = PyList_GET_ITEM(defaults.get(), index++);
    if (value != Py_None)
      result.emplace_back(names_.mangled(get(parameter, Field::arg).get()), expression(value));
  });
  return result;
}

std::vector<std::pair<PyRef, ExprPtr>> Reader::annotations(PyObject *def) {
  std::vector<std::pair<PyRef, ExprPtr>> result;
  auto addOf = [&](PyObject *parameter) {
    if (PyRef value = getIfAny(parameter, Field::annotation))
      result.emplace_back(names_.mangled(get(parameter, Field::arg).get()),
                          annotation(value.get()));
  };
  auto addOfOptional = [&](PyObject *arguments, Field field) {
    if (PyRef parameter = getIfAny(arguments, field))
      addOf(parameter.get());
  };
  PyRef arguments = get(def, Field::args);
  forEach(arguments.get(), Field::args, addOf);
  forEach(arguments.get(), Field::posonlyargs, addOf);
  addOfOptional(arguments.get(), Field::vararg);
  forEach(arguments.get(), Field::kwonlyargs, addOf);
  addOfOptional(arguments.get(), Field::kwarg);
  if (PyRef value = getIfAny(def, Field::returns))
    result.emplace_back(checked(PyUnicode_InternFromString("return")), annotation(value.get()));
  return result;
}

ExprPtr Reader::annotation(PyObject *node) {
  if (futureAnnotations_)
    return constant(node, annotationText(node));
  if (kindOf(node) == NodeKind::Starred)
    throw Unread{"it annotates a parameter with a starred expression"};
  return expression(node);
}

} // namespace bifront::syntax
