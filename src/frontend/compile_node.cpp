#include "frontend/compile_node.h"

#include "frontend/ast_nodes.h"
#include "frontend/code_object.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace bifront::syntax {
namespace {

// The compiler would warn again of what it has warned of when the program was compiled, and the
// program may have a hook there.
class SilentWarnings {
public:
  SilentWarnings()
      : module_(PyRef::steal(PyImport_ImportModule("warnings"))),
        filters_(
            PyRef::steal(module_ ? PyObject_GetAttrString(module_.get(), "filters") : nullptr)) {
    PyRef ignore =
        PyRef::steal(Py_BuildValue("[(sOOOi)]", "ignore", Py_None, PyExc_Warning, Py_None, 0));
    if (filters_ && ignore)
      PyObject_SetAttrString(module_.get(), "filters", ignore.get());
    PyErr_Clear();
  }
  ~SilentWarnings() {
    if (filters_)
      PyObject_SetAttrString(module_.get(), "filters", filters_.get());
    PyErr_Clear();
  }
  SilentWarnings(const SilentWarnings &) = delete;
  SilentWarnings &operator=(const SilentWarnings &) = delete;

private:
  PyRef module_, filters_;
};

PyRef codeOfModule(PyObject *module, int futureFlags) {
  static PyObject *compile =
      PyObject_GetAttrString(checked(PyImport_ImportModule("builtins")).get(), "compile");
  SilentWarnings silent;
  constexpr int dontInherit = 1, asTheInterpreter = -1;
  PyRef code = PyRef::steal(PyObject_CallFunction(compile, "Ossiii", module, "<bifront>", "exec",
                                                  futureFlags, dontInherit, asTheInterpreter));
  PyErr_Clear();
  return code;
}

std::vector<std::string> strings(PyObject *newTuple) {
  PyRef tuple = checked(newTuple);
  std::vector<std::string> result;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple.get()); ++i) {
    const char *text = PyUnicode_AsUTF8(PyTuple_GET_ITEM(tuple.get(), i));
    if (!text)
      checked(nullptr);
    result.emplace_back(text);
  }
  return result;
}

// The module's imports and the scopes around a function, as a text whose last and innermost
// statement is `pass`.
struct Surroundings {
  std::string text;
  std::vector<std::string> scopes; // from the outermost
};

constexpr const char *kOuterFunction = "_bifront_surroundings";

Surroundings surroundingsOf(PyCodeObject *code) {
  std::string cls = enclosingClass(code);
  std::vector<std::string> captured = strings(PyCode_GetFreevars(code));
  if (!cls.empty()) // which binds it by itself
    std::erase(captured, "__class__");
  Surroundings result;
  for (const std::string &name : importedNames(code))
    result.text += "import " + name + "\n";
  std::string indent;
  auto open = [&](const std::string &header, const std::string &name) {
    result.text += indent + header + ":\n";
    result.scopes.push_back(name);
    indent += ' ';
  };
  if (!captured.empty()) {
    open(std::string("def ") + kOuterFunction + "()", kOuterFunction);
    for (const std::string &name : captured)
      result.text += indent + name + " = 0\n";
    // The class's own name must not become one that the function captures, unless it did.
    if (!cls.empty() && std::ranges::find(captured, cls) == captured.end())
      result.text += indent + "global " + cls + "\n";
  }
  if (!cls.empty())
    open("class " + cls, cls);
  result.text += indent + "pass\n";
  return result;
}

// Puts `statement` in the place of the module's last and innermost one.
void replaceInnermost(PyObject *module, size_t depth, PyObject *statement) {
  PyRef body = get(module, Field::body);
  for (; depth > 0; --depth)
    body = get(PyList_GET_ITEM(body.get(), PyList_GET_SIZE(body.get()) - 1), Field::body);
  PyList_SetItem(body.get(), PyList_GET_SIZE(body.get()) - 1, Py_NewRef(statement));
}

// The last code object of this name among the constants: those of a function's defaults and
// decorators come before its own.
PyObject *lastCodeNamed(PyObject *within, std::string_view name) {
  PyObject *constants = reinterpret_cast<PyCodeObject *>(within)->co_consts;
  for (Py_ssize_t i = PyTuple_GET_SIZE(constants); i-- > 0;) {
    PyObject *constant = PyTuple_GET_ITEM(constants, i);
    if (!PyCode_Check(constant))
      continue;
    const char *text = PyUnicode_AsUTF8(reinterpret_cast<PyCodeObject *>(constant)->co_name);
    if (text && name == text)
      return constant;
    PyErr_Clear();
  }
  return nullptr;
}

// The code of a function under its scopes; a generic one has its type parameters around it.
PyRef codeUnder(PyRef code, const std::vector<std::string> &scopes, const std::string &name) {
  PyObject *within = code.get();
  for (const std::string &scope : scopes) {
    within = lastCodeNamed(within, scope);
    if (!within)
      return {};
  }
  if (PyObject *generic = lastCodeNamed(within, "<generic parameters of " + name + ">"))
    within = generic;
  return PyRef::share(lastCodeNamed(within, name));
}

} // namespace

PyRef parse(const std::string &text, int futureFlags) {
  PyCompilerFlags flags;
  flags.cf_flags = PyCF_ONLY_AST | PyCF_IGNORE_COOKIE | futureFlags;
  flags.cf_feature_version = PY_MINOR_VERSION;
  PyRef file = checked(PyUnicode_InternFromString("<bifront>"));
  SilentWarnings silent;
  PyRef module =
      PyRef::steal(Py_CompileStringObject(text.c_str(), file.get(), Py_file_input, &flags, -1));
  PyErr_Clear();
  return module;
}

PyRef compileLike(PyCodeObject *code, PyObject *statement) {
  Surroundings surroundings = surroundingsOf(code);
  PyRef module = parse(surroundings.text, futureFlags(code));
  const char *name = PyUnicode_AsUTF8(code->co_name);
  if (!module || !name) { // a closure over what is no name, as code.replace() can make it
    PyErr_Clear();
    return {};
  }
  replaceInnermost(module.get(), surroundings.scopes.size(), statement);
  PyRef compiled = codeOfModule(module.get(), futureFlags(code));
  return compiled ? codeUnder(compiled, surroundings.scopes, name) : PyRef();
}

PyRef annotationText(PyObject *annotation) {
  PyRef module = parse("x: 0", CO_FUTURE_ANNOTATIONS);
  if (!module)
    checked(nullptr);
  PyRef body = get(module.get(), Field::body);
  set(PyList_GET_ITEM(body.get(), 0), Field::annotation, annotation);
  PyRef compiled = codeOfModule(module.get(), CO_FUTURE_ANNOTATIONS);
  if (!compiled)
    checked(nullptr);
  PyObject *constants = reinterpret_cast<PyCodeObject *>(compiled.get())->co_consts;
  PyRef text = PyRef::share(PyTuple_GET_ITEM(constants, 0));
  if (!PyUnicode_CheckExact(text.get()))
    checked(nullptr);
  return text;
}

bool hasAsserts() {
  PyRef level = checked(PyObject_GetAttrString(PySys_GetObject("flags"), "optimize"));
  return PyLong_AsLong(level.get()) == 0;
}

} // namespace bifront::syntax
