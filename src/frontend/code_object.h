// What is asked of CPython's code objects.
#pragma once

#include "frontend/ast_nodes.h"
#include "support/py_ref.h"

#include <string>
#include <vector>

namespace bifront::syntax {

// Whether they do the same, nested code included: how a source is checked against the code that
// runs. Positions in the source may differ.
bool sameCode(PyCodeObject *left, PyCodeObject *right);

// Whether two constants of code objects are of one type and value: 1 is not True, 0.0 not -0.0.
bool sameConstant(PyObject *left, PyObject *right);

// The name of the class that `code` is written in, which mangles its private names; or empty.
std::string enclosingClass(PyCodeObject *code);

// Where the code's instructions come from, all in all; `endLine` is 0 where that is not known.
SourceExtent extentOfCode(PyCodeObject *code);

// Names that the code calls methods of as the compiler has it for names that the module imports: a
// plain attribute is read and called. Names that it only reads attributes of may be among them.
std::vector<std::string> importedNames(PyCodeObject *code);

// The __future__ flags that it was compiled with.
inline int futureFlags(PyCodeObject *code) { return code->co_flags & PyCF_MASK; }

} // namespace bifront::syntax
