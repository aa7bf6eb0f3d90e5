#include "frontend/print_syntax.h"

#include <array>

namespace bifront::syntax {
namespace {

constexpr std::array kBinary{"+", "&", "//", "<<", "@", "*", "%", "|", "**", ">>", "-", "/", "^"};
constexpr std::array kCompare{"<", "<=", "==", "!=", ">", ">=", "is", "is-not", "in", "not-in"};
constexpr std::array kUnary{"not", "-", "+", "~"};
constexpr std::array kSequence{"tuple", "list", "set"};
constexpr std::array kComprehension{"listcomp", "setcomp", "dictcomp", "genexpr"};

std::string textOf(const PyRef &text) {
  if (!text)
    return "**";
  const char *utf8 = PyUnicode_AsUTF8(text.get());
  if (!utf8)
    PyErr_Clear();
  return utf8 ? utf8 : "?";
}

std::string reprOf(const PyRef &value) {
  PyRef repr = PyRef::steal(PyObject_Repr(value.get()));
  if (!repr) {
    PyErr_Clear();
    return "?";
  }
  return textOf(repr);
}

std::string cellList(const std::vector<uint32_t> &cells) {
  std::string text;
  for (uint32_t cell : cells)
    text += (text.empty() ? "c" : " c") + std::to_string(cell);
  return "[" + text + "]";
}

// The name and the cells; empty for code that is dead.
std::string print(const NestedCode &nested) {
  if (!nested.code)
    return "dead";
  auto *code = reinterpret_cast<PyCodeObject *>(nested.code.get());
  return textOf(PyRef::share(code->co_name)) + cellList(nested.closure);
}

std::string print(const Binding &binding) {
  std::string name = textOf(binding.name);
  switch (binding.kind) {
  case Binding::Kind::Local: return name + "@" + std::to_string(binding.index);
  case Binding::Kind::Cell: return name + "@c" + std::to_string(binding.index);
  case Binding::Kind::Global: return name;
  }
  return "?";
}

std::string print(const std::unique_ptr<Binding> &binding) {
  return binding ? print(*binding) : "_";
}

//===- Expressions -------------------------------------------------------------------------===//

std::string print(const ExprPtr &expression);

// "(head part part)"; parts that are empty are left out.
template <class... Parts> std::string list(std::string head, const Parts &...parts) {
  ((head += parts.empty() ? "" : " " + parts), ...);
  return "(" + head + ")";
}

std::string print(const std::vector<ExprPtr> &expressions) {
  std::string text;
  for (const ExprPtr &expression : expressions)
    text += (text.empty() ? "" : " ") + print(expression);
  return text;
}

std::string print(const std::vector<Keyword> &keywords) {
  std::string text;
  for (const Keyword &keyword : keywords)
    text += (text.empty() ? "" : " ") + textOf(keyword.name) + "=" + print(keyword.value);
  return text;
}

std::string print(const std::vector<std::pair<PyRef, ExprPtr>> &named, char sign) {
  std::string text;
  for (const auto &[name, value] : named)
    text += (text.empty() ? "" : " ") + textOf(name) + sign + print(value);
  return text;
}

std::string print(const ComprehensionClause &clause) {
  std::string conditions;
  for (const ExprPtr &condition : clause.conditions)
    conditions += " (if " + print(condition) + ")";
  return " (for " + print(clause.target) + " " + print(clause.iterable) + conditions + ")";
}

struct ExpressionPrinter {
  std::string operator()(const Constant &it) const { return reprOf(it.value); }
  std::string operator()(const Name &it) const { return print(it.binding); }
  std::string operator()(const Attribute &it) const {
    return list(".", print(it.object), textOf(it.name));
  }
  std::string operator()(const Subscript &it) const {
    return list("[]", print(it.object), print(it.index));
  }
  std::string operator()(const Slice &it) const {
    return list(":", print(it.lower), print(it.upper), print(it.step));
  }
  std::string operator()(const Starred &it) const { return "*" + print(it.value); }
  std::string operator()(const Sequence &it) const {
    return list(kSequence[static_cast<size_t>(it.kind)], print(it.elements));
  }
  std::string operator()(const DictDisplay &it) const {
    std::string text = "(dict";
    for (size_t i = 0; i < it.values.size(); ++i)
      text += " " + (it.keys[i] ? print(it.keys[i]) + ":" : "**") + print(it.values[i]);
    return text + ")";
  }
  std::string operator()(const Unary &it) const {
    return list(kUnary[static_cast<size_t>(it.op)], print(it.operand));
  }
  std::string operator()(const Binary &it) const {
    return list(kBinary[static_cast<size_t>(it.op)], print(it.left), print(it.right));
  }
  std::string operator()(const BoolOperation &it) const {
    return list(it.isAnd ? "and" : "or", print(it.values));
  }
  std::string operator()(const Comparison &it) const {
    std::string text = "(compare " + print(it.first);
    for (size_t i = 0; i < it.ops.size(); ++i)
      text += std::string(" ") + kCompare[static_cast<size_t>(it.ops[i])] + " " + print(it.rest[i]);
    return text + ")";
  }
  std::string operator()(const Call &it) const {
    return list("call", print(it.callee), print(it.args), print(it.keywords));
  }
  std::string operator()(const Conditional &it) const {
    return list("?", print(it.condition), print(it.then), print(it.otherwise));
  }
  std::string operator()(const NamedValue &it) const {
    return list(":=", print(it.target), print(it.value));
  }
  std::string operator()(const Interpolation &it) const {
    std::string conversion = it.conversion < 0 ? "" : std::string("!") + char(it.conversion);
    return list("format", print(it.value), conversion, it.spec ? print(it.spec) : "");
  }
  std::string operator()(const JoinedString &it) const { return list("join", print(it.parts)); }
  std::string operator()(const Lambda &it) const {
    return list("lambda", print(it.code), print(it.defaults), print(it.keywordDefaults, '='));
  }
  std::string operator()(const Comprehension &it) const {
    std::string text = "(" + std::string(kComprehension[static_cast<size_t>(it.kind)]);
    if (it.code.code)
      text += " " + print(it.code);
    if (!it.freshCells.empty())
      text += " fresh" + cellList(it.freshCells);
    text += " " + print(it.element) + (it.value ? ":" + print(it.value) : "");
    for (const ComprehensionClause &clause : it.clauses)
      text += print(clause);
    return text + ")";
  }
  std::string operator()(const Yield &it) const {
    return list(it.from ? "yield-from" : "yield", it.value ? print(it.value) : "");
  }
};

std::string print(const ExprPtr &expression) {
  return expression ? std::visit(ExpressionPrinter{}, expression->node) : "_";
}

//===- Patterns ----------------------------------------------------------------------------===//

std::string print(const PatternPtr &pattern);

std::string print(const std::vector<PatternPtr> &patterns) {
  std::string text;
  for (const PatternPtr &pattern : patterns)
    text += (text.empty() ? "" : " ") + print(pattern);
  return text;
}

struct PatternPrinter {
  std::string operator()(const ValuePatternNode &it) const { return print(it.value); }
  std::string operator()(const SingletonPattern &it) const { return list("is", reprOf(it.value)); }
  std::string operator()(const SequencePattern &it) const {
    return list("sequence", print(it.patterns));
  }
  std::string operator()(const StarPattern &it) const { return "*" + print(it.name); }
  std::string operator()(const MappingPattern &it) const {
    std::string text = "(mapping";
    for (size_t i = 0; i < it.keys.size(); ++i)
      text += " " + print(it.keys[i]) + ":" + print(it.patterns[i]);
    return text + (it.rest ? " **" + print(it.rest) : "") + ")";
  }
  std::string operator()(const ClassPattern &it) const {
    std::string text = "(class " + print(it.cls);
    if (!it.positional.empty())
      text += " " + print(it.positional);
    for (size_t i = 0; i < it.names.size(); ++i)
      text += " " + textOf(it.names[i]) + "=" + print(it.keywords[i]);
    return text + ")";
  }
  std::string operator()(const AsPattern &it) const {
    return it.pattern ? list("as", print(it.pattern), print(it.name)) : print(it.name);
  }
  std::string operator()(const OrPattern &it) const { return list("or", print(it.patterns)); }
};

std::string print(const PatternPtr &pattern) { return std::visit(PatternPrinter{}, pattern->node); }

//===- Statements --------------------------------------------------------------------------===//

class StatementPrinter {
public:
  explicit StatementPrinter(std::string &text) : text_(text) {}

  void block(const Body &body) {
    ++depth_;
    for (const auto &statement : body) {
      line_ = statement->line;
      std::visit(*this, statement->node);
    }
    --depth_;
  }

  void operator()(const ExprStmt &it) { line(print(it.value)); }
  void operator()(const Assign &it) { line(list("=", print(it.targets), print(it.value))); }
  void operator()(const AugAssign &it) {
    line(list(std::string(kBinary[static_cast<size_t>(it.op)]) + "=", print(it.target),
              print(it.value)));
  }
  void operator()(const Delete &it) { line(list("del", print(it.targets))); }
  void operator()(const Return &it) { line(list("return", it.value ? print(it.value) : "")); }
  void operator()(const If &it) {
    line("if " + print(it.condition));
    block(it.then);
    otherwise(it.otherwise);
  }
  void operator()(const While &it) {
    line("while " + print(it.condition));
    block(it.body);
    otherwise(it.otherwise);
  }
  void operator()(const For &it) {
    line("for " + print(it.target) + " in " + print(it.iterable));
    block(it.body);
    otherwise(it.otherwise);
  }
  void operator()(const Break &) { line("break"); }
  void operator()(const Continue &) { line("continue"); }
  void operator()(const Pass &) { line("pass"); }
  void operator()(const Raise &it) {
    line(list("raise", it.exception ? print(it.exception) : "", it.cause ? print(it.cause) : ""));
  }
  void operator()(const Assert &it) {
    line(list("assert", print(it.condition), it.message ? print(it.message) : ""));
  }
  void operator()(const Try &it) {
    line("try");
    block(it.body);
    for (const Handler &handler : it.handlers) {
      part("except " + print(handler.type) + " as " + print(handler.name));
      block(handler.body);
    }
    otherwise(it.otherwise);
    if (!it.finally.empty())
      part("finally");
    block(it.finally);
  }
  void operator()(const With &it) {
    std::string items;
    for (const WithItem &item : it.items)
      items += " (" + print(item.context) + " as " + print(item.target) + ")";
    line("with" + items);
    block(it.body);
  }
  void operator()(const FunctionDef &it) {
    decorators(it.decorators);
    line("def " + print(it.target) + " " + print(it.code));
    values("defaults", print(it.defaults));
    values("keywords", print(it.keywordDefaults, '='));
    values("annotations", print(it.annotations, ':'));
  }
  void operator()(const ClassDef &it) {
    decorators(it.decorators);
    line("class " + print(it.target) + " " + print(it.code));
    values("bases", print(it.bases));
    values("keywords", print(it.keywords));
  }
  void operator()(const Import &it) {
    line("import " + textOf(it.module) + (it.asName ? " as " : " binds ") + print(it.target));
  }
  void operator()(const ImportFrom &it) {
    std::string text = "from " + std::string(it.level, '.') + textOf(it.module) + " import";
    for (const auto &[name, target] : it.names)
      text += " " + textOf(name) + " as " + print(target);
    line(text);
  }
  void operator()(const Match &it) {
    line("match " + print(it.subject));
    for (const MatchCase &match : it.cases) {
      part("case " + print(match.pattern) + (match.guard ? " if " + print(match.guard) : ""));
      block(match.body);
    }
  }

private:
  void part(const std::string &content) {
    text_ += "    " + std::string(2 * depth_, ' ') + content + "\n";
  }
  void line(const std::string &content) {
    std::string number = std::to_string(line_);
    number.resize(std::max<size_t>(4, number.size()), ' ');
    text_ += number + std::string(2 * depth_, ' ') + content + "\n";
  }
  void otherwise(const Body &body) {
    if (!body.empty())
      part("else");
    block(body);
  }
  void decorators(const std::vector<ExprPtr> &decorators) {
    for (const ExprPtr &decorator : decorators)
      part("@" + print(decorator));
  }
  void values(const char *what, const std::string &printed) {
    if (!printed.empty())
      part(std::string("  ") + what + " " + printed);
  }

  std::string &text_;
  int depth_ = 0, line_ = 0;
};

} // namespace

std::string print(const Function &function) {
  std::string text = "slots";
  for (const PyRef &name : function.slotNames)
    text += " " + textOf(name);
  text += "; cells " + std::to_string(function.numCells) + "+" +
          std::to_string(function.numComprehensionCells);
  for (auto [slot, cell] : function.cellParameters)
    text += "; " + std::to_string(slot) + " in c" + std::to_string(cell);
  if (function.classCell)
    text += "; __class__ in c" + std::to_string(*function.classCell);
  text += function.isGenerator ? "; generator\n" : "\n";
  StatementPrinter(text).block(function.body);
  return text;
}

std::string printSyntaxOf(PyObject *function) {
  std::string whyNot;
  auto syntax = syntaxOf(function, whyNot);
  return syntax ? print(*syntax) : "not read: " + whyNot;
}

} // namespace bifront::syntax
