#include "frontend/source.h"

#include "frontend/ast_nodes.h"
#include "frontend/code_object.h"
#include "frontend/compile_node.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

namespace bifront::syntax {
namespace {

constexpr const char *kNoSource = "it has no source";
constexpr const char *kOtherSource = "its source is not the code that runs";

PyCodeObject *codeOf(PyFunctionObject *function) {
  return reinterpret_cast<PyCodeObject *>(function->func_code);
}

bool isLambda(PyCodeObject *code) {
  return PyUnicode_CompareWithASCIIString(code->co_name, "<lambda>") == 0;
}

//===- Lines -------------------------------------------------------------------------------===//

// Of `python -c`, the lines that stand there; null where the process runs another program.
PyRef linesOfCommand(PyFunctionObject *function) {
  PyObject *module = PyDict_GetItemString(function->func_globals, "__name__");
  PyObject *command = PySys_GetObject("orig_argv");
  if (!module || !PyUnicode_Check(module) || !command || !PyList_Check(command) ||
      PyUnicode_CompareWithASCIIString(codeOf(function)->co_filename, "<string>") != 0 ||
      PyUnicode_CompareWithASCIIString(module, "__main__") != 0)
    return {};
  for (Py_ssize_t i = 1; i + 1 < PyList_GET_SIZE(command); ++i)
    if (PyUnicode_CompareWithASCIIString(PyList_GET_ITEM(command, i), "-c") == 0)
      return checked(PyUnicode_Splitlines(PyList_GET_ITEM(command, i + 1), /*keepends=*/1));
  return {};
}

// The file's lines as linecache knows them: a list of str, each with its newline. What has changed
// on disk is read again.
PyRef fileLines(PyFunctionObject *function) {
  if (PyRef lines = linesOfCommand(function))
    if (PyList_GET_SIZE(lines.get()) >= codeOf(function)->co_firstlineno)
      return lines;
  PyObject *file = codeOf(function)->co_filename;
  PyObject *ofModule = PyDict_GetItemString(function->func_globals, "__file__");
  const char *name = PyUnicode_AsUTF8(file);
  if (name && std::string_view(name).starts_with("<frozen ") && ofModule &&
      PyUnicode_Check(ofModule))
    file = ofModule; // of a module that CPython has in itself
  PyRef linecache = checked(PyImport_ImportModule("linecache"));
  checked(PyObject_CallMethod(linecache.get(), "checkcache", "O", file));
  PyRef lines =
      checked(PyObject_CallMethod(linecache.get(), "getlines", "OO", file, function->func_globals));
  if (!PyList_Check(lines.get()) || PyList_GET_SIZE(lines.get()) < codeOf(function)->co_firstlineno)
    throw Unread{kNoSource};
  return lines;
}

// Line `number`, from 1; valid as long as `lines` is.
std::string_view lineAt(PyObject *lines, int number) {
  Py_ssize_t size = 0;
  const char *text = PyUnicode_AsUTF8AndSize(PyList_GET_ITEM(lines, number - 1), &size);
  if (!text)
    checked(nullptr);
  return {text, static_cast<size_t>(size)};
}

std::string textOf(PyObject *lines, int first, int last) {
  std::string text;
  for (int number = first; number <= last; ++number)
    text += lineAt(lines, number);
  return text;
}

// The indentation, as the text of it. Tabs count as one: only lines of one block are compared.
std::string_view indentOf(std::string_view line) {
  return line.substr(0, std::min(line.find_first_not_of(" \t\f"), line.size()));
}

//===- The snippet of a def ----------------------------------------------------------------===//

// Whether a line that is indented no deeper than a function's first one may still be of it: its
// `def` behind a decorator, a bracket that closes its parameters or its last call.
bool continuesHeader(std::string_view text, bool &sawDef) {
  if (std::string_view(")]}").find(text.front()) != std::string_view::npos)
    return true;
  if (sawDef)
    return false;
  sawDef = text.starts_with("def") || text.starts_with("async");
  return true;
}

// The last line of the def that starts at `first`. The code's positions reach its last instruction;
// what may come behind that (dead code, strings) is told by the indentation. A wrong guess does no
// harm: the source is checked.
int lastLineOfDef(PyObject *lines, PyCodeObject *code) {
  int first = code->co_firstlineno;
  auto count = static_cast<int>(PyList_GET_SIZE(lines));
  size_t base = indentOf(lineAt(lines, first)).size();
  int last = std::clamp(extentOfCode(code).endLine, first, count);
  bool sawDef = last > first || !lineAt(lines, first).substr(base).starts_with('@');
  for (int number = last + 1; number <= count; ++number) {
    std::string_view line = lineAt(lines, number), indent = indentOf(line);
    std::string_view text = line.substr(indent.size());
    if (text.empty() || text.front() == '\n' || text.front() == '#')
      continue;
    if (indent.size() <= base && !continuesHeader(text, sawDef))
      break;
    last = number;
  }
  return last;
}

struct Candidate {
  PyRef node;
  int lineShift;
};

std::optional<Candidate> defSnippet(PyObject *lines, PyCodeObject *code) {
  int first = code->co_firstlineno;
  std::string text = textOf(lines, first, lastLineOfDef(lines, code));
  bool indented = !indentOf(text).empty();
  PyRef module = parse(indented ? "if 1:\n" + text : text, futureFlags(code));
  if (!module)
    return {};
  PyRef body = get(module.get(), Field::body);
  if (indented && PyList_GET_SIZE(body.get()) == 1)
    body = get(PyList_GET_ITEM(body.get(), 0), Field::body);
  if (PyList_GET_SIZE(body.get()) == 0)
    return {};
  PyRef node = PyRef::share(PyList_GET_ITEM(body.get(), 0));
  return Candidate{node, first - firstLineOf(node.get())};
}

//===- The snippet of a lambda -------------------------------------------------------------===//

// A `lambda` at a column of the text's first line. Its columns stay as they are. The brackets that
// surround its body are no part of the code's positions: as many are closed as it takes.
std::optional<Candidate> lambdaSnippet(std::string text, size_t column, PyCodeObject *code) {
  std::fill_n(text.begin(), column, ' ');
  if (column > 0)
    text[column - 1] = '(';
  constexpr int deepest = 6;
  for (int closing = column > 0 ? 1 : 0; closing <= deepest; ++closing) {
    PyRef module = parse(column > 1 ? "if 1:\n" + text + std::string(closing, ')')
                                    : text + std::string(closing, ')'),
                         futureFlags(code));
    if (!module)
      continue;
    PyRef body = get(module.get(), Field::body);
    if (column > 1)
      body = get(PyList_GET_ITEM(body.get(), 0), Field::body);
    PyRef node = get(PyList_GET_ITEM(body.get(), 0), Field::value);
    return Candidate{node, code->co_firstlineno - getInt(node.get(), Field::lineno)};
  }
  return {};
}

// In the order of the text: of nested ones that end together each has its turn.
std::vector<Candidate> lambdaSnippets(PyObject *lines, PyCodeObject *code) {
  SourceExtent extent = extentOfCode(code);
  int first = code->co_firstlineno;
  if (extent.endLine < first || extent.endLine > PyList_GET_SIZE(lines))
    return {};
  std::string text = textOf(lines, first, extent.endLine - 1);
  text += lineAt(lines, extent.endLine).substr(0, extent.endColumn);
  std::vector<Candidate> result;
  size_t end = extent.line == first ? extent.column : text.find('\n');
  constexpr std::string_view keyword = "lambda";
  for (size_t at = text.find(keyword); at < end; at = text.find(keyword, at + 1))
    if (std::optional<Candidate> candidate = lambdaSnippet(text, at, code))
      result.push_back(*candidate);
  return result;
}

//===- The whole file ----------------------------------------------------------------------===//

// Whether the line is one of the node's. Nodes without a place (arguments, comprehensions) may hold
// any.
bool mayHoldLine(PyObject *node, int line) {
  PyRef last = getIfAny(node, Field::end_lineno);
  return !last || (firstLineOf(node) <= line && line <= PyLong_AsLong(last.get()));
}

// Adds the functions below `node` that start at the code's first line.
void collectFunctions(PyObject *node, PyCodeObject *code, std::vector<Candidate> &result) {
  if (PyList_Check(node)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(node); ++i)
      collectFunctions(PyList_GET_ITEM(node, i), code, result);
    return;
  }
  NodeKind kind = kindOf(node);
  PyRef fields = getIfAny(node, Field::_fields);
  if (!fields || !PyTuple_Check(fields.get()) || !mayHoldLine(node, code->co_firstlineno))
    return;
  bool isFunction = kind == NodeKind::FunctionDef || kind == NodeKind::AsyncFunctionDef ||
                    kind == NodeKind::Lambda;
  if (isFunction && firstLineOf(node) == code->co_firstlineno)
    result.push_back({PyRef::share(node), 0});
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields.get()); ++i)
    if (PyRef child = PyRef::steal(PyObject_GetAttr(node, PyTuple_GET_ITEM(fields.get(), i))))
      collectFunctions(child.get(), code, result);
    else
      PyErr_Clear(); // an optional field
}

std::vector<Candidate> wholeFile(PyObject *lines, PyCodeObject *code) {
  auto count = static_cast<int>(PyList_GET_SIZE(lines));
  PyRef module = parse(textOf(lines, 1, count), futureFlags(code));
  std::vector<Candidate> result;
  if (module)
    collectFunctions(module.get(), code, result);
  return result;
}

//===- Generated code ----------------------------------------------------------------------===//

// What `dataclasses` has made of a text that nobody has kept.
std::vector<Candidate> generated(PyCodeObject *code) {
  std::vector<Candidate> result;
  if (PyUnicode_CompareWithASCIIString(code->co_filename, "<string>") != 0)
    return result;
  PyRef module = checked(PyImport_ImportModule("bifront._generated_code"));
  PyRef texts = PyRef::steal(PyObject_CallMethod(module.get(), "texts_of", "O", code));
  PyErr_Clear(); // of code that is none of theirs
  for (Py_ssize_t i = 0; texts && i < PyList_GET_SIZE(texts.get()); ++i) {
    const char *text = PyUnicode_AsUTF8(PyList_GET_ITEM(texts.get(), i));
    PyRef parsed = text ? parse(text, futureFlags(code)) : PyRef();
    PyErr_Clear(); // a name that is no text, as code.replace() can make it
    PyRef body = parsed ? get(parsed.get(), Field::body) : PyRef();
    if (!body || PyList_GET_SIZE(body.get()) != 1)
      continue;
    PyRef node = PyRef::share(PyList_GET_ITEM(body.get(), 0));
    result.push_back({node, code->co_firstlineno - firstLineOf(node.get())});
  }
  return result;
}

//===- The check ---------------------------------------------------------------------------===//

PyRef asStatement(PyObject *node, PyCodeObject *code) {
  if (kindOf(node) != NodeKind::Lambda)
    return PyRef::share(node);
  PyRef module = parse("0", futureFlags(code));
  if (!module)
    checked(nullptr);
  PyRef body = get(module.get(), Field::body);
  PyRef statement = PyRef::share(PyList_GET_ITEM(body.get(), 0));
  set(statement.get(), Field::value, node);
  return statement;
}

bool isOfKind(PyObject *node, PyCodeObject *code) {
  NodeKind kind = kindOf(node);
  if (isLambda(code))
    return kind == NodeKind::Lambda;
  return kind == NodeKind::FunctionDef || kind == NodeKind::AsyncFunctionDef;
}

std::optional<Source> verified(const Candidate &candidate, PyCodeObject *code) {
  if (!isOfKind(candidate.node.get(), code))
    return {};
  PyRef compiled = compileLike(code, asStatement(candidate.node.get(), code).get());
  if (!compiled || !sameCode(reinterpret_cast<PyCodeObject *>(compiled.get()), code))
    return {};
  return Source{candidate.node, compiled, candidate.lineShift};
}

// The first of them that is the code's.
std::optional<Source> verified(const std::vector<Candidate> &candidates, PyCodeObject *code) {
  for (const Candidate &candidate : candidates)
    if (std::optional<Source> source = verified(candidate, code))
      return source;
  return {};
}

std::vector<Candidate> snippets(PyObject *lines, PyCodeObject *code) {
  if (isLambda(code))
    return lambdaSnippets(lines, code);
  std::optional<Candidate> def = defSnippet(lines, code);
  return def ? std::vector{*def} : std::vector<Candidate>{};
}

} // namespace

Source sourceOf(PyFunctionObject *function) {
  PyCodeObject *code = codeOf(function);
  if (code->co_firstlineno < 1)
    throw Unread{kNoSource};
  if (std::optional<Source> source = verified(generated(code), code))
    return *source;
  PyRef lines = fileLines(function);
  // Parsing a file takes up to 100 ms, a snippet some 100 us.
  if (std::optional<Source> source = verified(snippets(lines.get(), code), code))
    return *source;
  if (std::optional<Source> source = verified(wholeFile(lines.get(), code), code))
    return *source;
  throw Unread{kOtherSource};
}

bool isGenerated(PyFunctionObject *function) {
  PyCodeObject *code = codeOf(function);
  return verified(generated(code), code).has_value();
}

PyRef codeWith(PyFunctionObject *function,
               const std::function<void(PyObject *node, int lineShift)> &change) {
  Source source = sourceOf(function); // its nodes are nobody else's
  change(source.node.get(), source.lineShift);
  PyCodeObject *code = codeOf(function);
  return checked(compileLike(code, asStatement(source.node.get(), code).get()).release());
}

} // namespace bifront::syntax
