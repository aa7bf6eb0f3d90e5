// Compiles pieces of Python source as the compiler had them before it, without a word to the
// program: no warnings, no exceptions.
#pragma once

#include "support/py_ref.h"

#include <string>

namespace bifront::syntax {

// The ast.Module of a text, or null if it does not parse. The flags are of __future__.
PyRef parse(const std::string &text, int futureFlags);

// The code object of a def statement, or of an expression statement that is a lambda, compiled in
// scopes like those around `code`: the names of its closure bound, its class around it. Null where
// that fails.
PyRef compileLike(PyCodeObject *code, PyObject *statement);

// What `annotation` is under `from __future__ import annotations`: a str. Throws Unread.
PyRef annotationText(PyObject *annotation);

// Whether the interpreter keeps assert statements (no -O): `__debug__`.
bool hasAsserts();

} // namespace bifront::syntax
