// The program's `raise` ends a way of a branch.
#pragma once

#include "frontend/python_error.h"

namespace bifront {

struct PythonFrame;

// Thrown by the statement, with the exception set.
struct Raised : PythonError {};

// Whether a `try` around the statement that runs may catch what it raises.
bool mayBeCaught(const PythonFrame *frame);

} // namespace bifront
