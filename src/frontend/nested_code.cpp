#include "frontend/nested_code.h"

#include "frontend/code_object.h"

#include <string_view>
#include <vector>

namespace bifront::syntax {
namespace {

CodePair pairAt(const CodePair &around, Py_ssize_t index) {
  return {PyRef::share(PyTuple_GET_ITEM(around.originalCode()->co_consts, index)),
          PyRef::share(PyTuple_GET_ITEM(around.compiledCode()->co_consts, index))};
}

// Those that have the name and the line.
std::vector<CodePair> candidates(const CodePair &around, int line, std::string_view name) {
  std::vector<CodePair> result;
  PyObject *constants = around.compiledCode()->co_consts;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(constants); ++i) {
    PyObject *constant = PyTuple_GET_ITEM(constants, i);
    if (!PyCode_Check(constant))
      continue;
    auto *code = reinterpret_cast<PyCodeObject *>(constant);
    const char *codeName = PyUnicode_AsUTF8(code->co_name);
    if (!codeName)
      checked(nullptr);
    if (code->co_firstlineno == line && name == codeName)
      result.push_back(pairAt(around, i));
  }
  return result;
}

// What of a node lies inside its code: the body of a lambda; all of a comprehension but its first
// iterable, in which there may be another one.
struct Inside {
  SourceExtent whole, certain;
};

Inside insideOf(PyObject *node) {
  switch (kindOf(node)) {
  case NodeKind::Lambda: {
    SourceExtent body = extentOf(get(node, Field::body).get());
    return {body, body};
  }
  case NodeKind::DictComp: return {extentOf(node), extentOf(get(node, Field::key).get())};
  case NodeKind::ListComp:
  case NodeKind::SetComp:
  case NodeKind::GeneratorExp: return {extentOf(node), extentOf(get(node, Field::elt).get())};
  default: return {extentOf(node), extentOf(node)};
  }
}

} // namespace

std::optional<CodePair> nestedCode(const CodePair &around, PyObject *node, const char *name) {
  std::vector<CodePair> found = candidates(around, firstLineOf(node), name);
  if (found.size() > 1) { // several on one line: by their columns
    Inside inside = insideOf(node);
    std::erase_if(found, [&](const CodePair &pair) {
      SourceExtent extent = extentOfCode(pair.compiledCode());
      return !inside.whole.holds(extent) || !extent.holdsStartOf(inside.certain);
    });
    if (found.size() != 1)
      throw Unread{"its nested functions on one line cannot be told apart"};
  }
  if (found.empty())
    return {};
  return found.front();
}

} // namespace bifront::syntax
