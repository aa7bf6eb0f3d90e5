// The tree of a function as text, for tests and for people. A statement has a line, with the line
// of its source; an expression is an S-expression. A name has its place: `x@2` is slot 2, `x@c0`
// cell 0, `x` a global.
#pragma once

#include "frontend/syntax.h"

#include <string>

namespace bifront::syntax {

std::string print(const Function &function);

// What syntaxOf() gives for an object, printed, or "not read: " and why not.
std::string printSyntaxOf(PyObject *function);

} // namespace bifront::syntax
