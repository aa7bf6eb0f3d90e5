// Which of a code object's constants an ast node was compiled to.
#pragma once

#include "frontend/ast_nodes.h"
#include "support/py_ref.h"

#include <optional>

namespace bifront::syntax {

// A code object of the program, and the same as it was compiled from the nodes that are read.
struct CodePair {
  PyRef original, compiled;
  PyCodeObject *originalCode() const { return reinterpret_cast<PyCodeObject *>(original.get()); }
  PyCodeObject *compiledCode() const { return reinterpret_cast<PyCodeObject *>(compiled.get()); }
};

// The code of a def, class, lambda or comprehension in the code around it, or nothing where the
// compiler has dropped it as dead. `name` is the code's: that of the def or "<lambda>", say.
// Throws Unread where several may be meant.
std::optional<CodePair> nestedCode(const CodePair &around, PyObject *node, const char *name);

} // namespace bifront::syntax
