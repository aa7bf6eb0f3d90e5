// Expressions, but for operators and calls.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/unrolling.h"

namespace bifront {

using namespace syntax;

PyRef Interpreter::eval(PythonFrame &frame, const Expr &expr) {
  frame.line = expr.place.line;
  struct Evaluated {
    PythonFrame &frame;
    const Expr *around;
    ~Evaluated() { frame.expression = around; }
  } evaluated{frame, std::exchange(frame.expression, &expr)};
  return std::visit([&](const auto &node) { return eval(frame, node); }, expr.node);
}

PyRef Interpreter::evalOrNone(PythonFrame &frame, const ExprPtr &expr) {
  return expr ? eval(frame, *expr) : PyRef::share(Py_None);
}

PyRef Interpreter::eval(PythonFrame &, const Constant &constant) { return constant.value; }

PyRef Interpreter::eval(PythonFrame &frame, const Name &name) { return load(frame, name.binding); }

PyRef Interpreter::eval(PythonFrame &frame, const Attribute &access) {
  return attribute(eval(frame, *access.object).get(), access.name.get());
}

PyRef Interpreter::eval(PythonFrame &frame, const Subscript &subscript) {
  PyRef object = eval(frame, *subscript.object);
  return item(object.get(), eval(frame, *subscript.index).get());
}

PyRef Interpreter::eval(PythonFrame &frame, const syntax::Slice &slice) {
  PyRef lower = evalOrNone(frame, slice.lower), upper = evalOrNone(frame, slice.upper),
        step = evalOrNone(frame, slice.step);
  return checked(PySlice_New(lower.get(), upper.get(), step.get()));
}

PyRef Interpreter::eval(PythonFrame &, const Starred &) {
  throw CannotInterpret("a starred expression stands where none can");
}

//===- Displays ----------------------------------------------------------------------------===//

std::vector<PyRef> Interpreter::evalAll(PythonFrame &frame, const std::vector<ExprPtr> &exprs) {
  std::vector<PyRef> values;
  values.reserve(exprs.size());
  for (const ExprPtr &expr : exprs) {
    auto *starred = std::get_if<Starred>(&expr->node);
    if (!starred) {
      values.push_back(eval(frame, *expr));
      continue;
    }
    PyRef iterator = iterate(eval(frame, *starred->value).get());
    while (PyRef value = next(iterator.get()))
      values.push_back(std::move(value));
  }
  return values;
}

PyRef Interpreter::eval(PythonFrame &frame, const Sequence &sequence) {
  std::vector<PyRef> values = evalAll(frame, sequence.elements);
  if (sequence.kind == Sequence::Kind::Tuple) {
    PyRef tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
    for (size_t i = 0; i < values.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), i, values[i].release());
    if (!values.empty()) // there is one empty tuple
      log_.noteFresh(tuple.get());
    return tuple;
  }
  bool isList = sequence.kind == Sequence::Kind::List;
  PyRef made = checked(isList ? PyList_New(0) : PySet_New(nullptr));
  log_.noteFresh(made.get());
  for (PyRef &value : values)
    if (!isList)
      value = keyOf(value.get());
  for (const PyRef &value : values)
    checked(isList ? PyList_Append(made.get(), value.get()) : PySet_Add(made.get(), value.get()));
  return made;
}

PyRef Interpreter::eval(PythonFrame &frame, const DictDisplay &display) {
  PyRef dict = checked(PyDict_New());
  log_.noteFresh(dict.get());
  for (size_t i = 0; i < display.keys.size(); ++i) {
    if (display.keys[i]) {
      PyRef key = eval(frame, *display.keys[i]), value = eval(frame, *display.values[i]);
      key = keyOf(key.get());
      checked(PyDict_SetItem(dict.get(), key.get(), value.get()));
      continue;
    }
    PyRef merged = eval(frame, *display.values[i]);
    if (!PyDict_Check(merged.get()))
      throw CannotInterpret("`**` in a dict takes a mapping that is no dict");
    log_.readContainer(merged.get());
    checked(PyDict_Update(dict.get(), merged.get()));
  }
  return dict;
}

//===- Operators ---------------------------------------------------------------------------===//

PyRef Interpreter::eval(PythonFrame &frame, const Unary &operation) {
  return unary(operation.op, eval(frame, *operation.operand).get());
}

PyRef Interpreter::eval(PythonFrame &frame, const Binary &operation) {
  PyRef left = eval(frame, *operation.left);
  return binary(operation.op, left.get(), eval(frame, *operation.right).get());
}

PyRef Interpreter::eval(PythonFrame &frame, const BoolOperation &operation) {
  return evalFrom(frame, operation, 0);
}

PyRef Interpreter::evalFrom(PythonFrame &frame, const BoolOperation &operation, size_t first) {
  PyRef value = eval(frame, *operation.values[first]);
  if (first + 1 == operation.values.size())
    return value;
  auto here = [&] { return value; };
  auto rest = [&] { return evalFrom(frame, operation, first + 1); };
  if (PyRef condition = conditionOf(value.get())) {
    const void *site = operation.values[first].get();
    auto forked = operation.isAnd ? forkValue(frame, site, condition.get(), rest, here)
                                  : forkValue(frame, site, condition.get(), here, rest);
    if (forked)
      return *forked;
  }
  return truth(value.get()) == operation.isAnd ? rest() : value;
}

PyRef Interpreter::eval(PythonFrame &frame, const Comparison &comparison) {
  return evalFrom(frame, comparison, eval(frame, *comparison.first), 0);
}

PyRef Interpreter::evalFrom(PythonFrame &frame, const Comparison &comparison, const PyRef &left,
                            size_t first) {
  const Expr &operand = *comparison.rest[first];
  PyRef right = eval(frame, operand);
  PyRef result = compare(comparison.ops[first], left.get(), right.get());
  if (first + 1 == comparison.ops.size())
    return result;
  auto here = [&] { return result; };
  auto rest = [&] { return evalFrom(frame, comparison, right, first + 1); };
  if (PyRef condition = conditionOf(result.get()))
    if (auto forked = forkValue(frame, &operand, condition.get(), rest, here))
      return *forked;
  return truth(result.get()) ? rest() : result;
}

PyRef Interpreter::eval(PythonFrame &frame, const Conditional &conditional) {
  PyRef holds = condition(frame, *conditional.condition);
  auto then = [&] { return eval(frame, *conditional.then); };
  auto otherwise = [&] { return eval(frame, *conditional.otherwise); };
  if (isGraphNumber(holds.get()))
    if (auto value = forkValue(frame, &conditional, holds.get(), then, otherwise))
      return *value;
  return truth(holds.get()) ? then() : otherwise();
}

PyRef Interpreter::eval(PythonFrame &frame, const NamedValue &named) {
  PyRef value = eval(frame, *named.value);
  assign(frame, *named.target, value);
  return value;
}

//===- Strings -----------------------------------------------------------------------------===//

PyRef Interpreter::eval(PythonFrame &frame, const Interpolation &part) {
  PyRef value = eval(frame, *part.value);
  CallArguments arguments;
  arguments.positional.push_back(value);
  auto converted = [&](const char *name) {
    return call(PyDict_GetItemString(frame.builtins, name), arguments);
  };
  switch (part.conversion) {
  case 's': value = call(reinterpret_cast<PyObject *>(&PyUnicode_Type), arguments); break;
  case 'r': value = converted("repr"); break;
  case 'a': value = converted("ascii"); break;
  default: break;
  }
  PyRef spec = part.spec ? eval(frame, *part.spec) : PyRef();
  return formatted(value.get(), spec.get());
}

PyRef Interpreter::eval(PythonFrame &frame, const JoinedString &string) {
  return joined(evalAll(frame, string.parts));
}

//===- Comprehensions ----------------------------------------------------------------------===//

// `iterator`: of the first clause, which is evaluated outside.
void Interpreter::comprehend(PythonFrame &frame, const Comprehension &comprehension, size_t clause,
                             const PyRef &iterator, const std::function<void()> &element) {
  const ComprehensionClause &loop = comprehension.clauses[clause];
  InComprehension here(frame);
  while (PyRef value = next(iterator.get())) {
    assign(frame, *loop.target, std::move(value));
    comprehendItem(frame, comprehension, clause, 0, element);
  }
}

// An item of a clause, of whose conditions those before `condition` hold.
void Interpreter::comprehendItem(PythonFrame &frame, const Comprehension &comprehension,
                                 size_t clause, size_t condition,
                                 const std::function<void()> &element) {
  const ComprehensionClause &loop = comprehension.clauses[clause];
  if (condition < loop.conditions.size()) {
    const Expr &test = *loop.conditions[condition];
    auto then = [&] {
      comprehendItem(frame, comprehension, clause, condition + 1, element);
      return PyRef::share(Py_None);
    };
    // No path knows an item of a loop of the graph, or of a function.
    bool knowsItem = (loopWalks_ == 0 && functions_.empty()) || frame.generator;
    PyRef holds = knowsItem ? eval(frame, test) : this->condition(frame, test);
    if (!knowsItem && isGraphNumber(holds.get()) &&
        forkValue(frame, &test, holds.get(), then, [] { return PyRef::share(Py_None); }))
      return;
    if (truth(holds.get()))
      then();
  } else if (clause + 1 == comprehension.clauses.size()) {
    element();
  } else {
    const Expr &inner = *comprehension.clauses[clause + 1].iterable;
    comprehend(frame, comprehension, clause + 1, iterate(eval(frame, inner).get()), element);
  }
}

// By the log where a way of a branch, or a loop, that the list is from outside of adds to it.
void Interpreter::addTo(PyObject *list, PyObject *item) {
  if (forks_.empty() || log_.isFreshSince(forks_.back().mark, list)) {
    checked(PyList_Append(list, item));
    return;
  }
  PyObject *arguments[] = {list, item};
  static PyObject *append =
      PyObject_GetAttrString(reinterpret_cast<PyObject *>(&PyList_Type), "append");
  log_.mutate(list, append, arguments, 2, nullptr);
}

PyRef Interpreter::eval(PythonFrame &frame, const Comprehension &comprehension) {
  using Kind = Comprehension::Kind;
  if (comprehension.kind == Kind::Generator)
    return generatorOf(frame, comprehension, eval(frame, *comprehension.clauses[0].iterable).get());
  PyRef made = checked(comprehension.kind == Kind::List  ? PyList_New(0)
                       : comprehension.kind == Kind::Set ? PySet_New(nullptr)
                                                         : PyDict_New());
  log_.noteFresh(made.get());
  auto element = [&] {
    PyRef value = eval(frame, *comprehension.element);
    if (comprehension.kind != Kind::List)
      value = keyOf(value.get());
    if (comprehension.kind == Kind::List)
      addTo(made.get(), value.get());
    else if (comprehension.kind == Kind::Set)
      checked(PySet_Add(made.get(), value.get()));
    else
      checked(PyDict_SetItem(made.get(), value.get(), eval(frame, *comprehension.value).get()));
  };
  Iterable iterable;
  if (comprehension.kind != Kind::List)
    iterable.object = eval(frame, *comprehension.clauses[0].iterable);
  else if (comprehendInGraph(frame, comprehension, iterable, [] {}, element))
    return made;
  PyRef first = iterate(iterable.object.get());
  makeCells(frame, comprehension);
  Unrolling unrolling(*this, iterable.mayCount ? &comprehension : nullptr);
  comprehend(frame, comprehension, 0, first, [&] {
    unrolling.goesOn();
    element();
  });
  return made;
}

} // namespace bifront
