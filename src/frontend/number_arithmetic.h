// Python's arithmetic with numbers of the graph. torch.SymInt and its kin have their own: `//` of
// floats takes the floor of a quotient that is rounded already, a power imports half of torch to
// ask a question. Tested by tests/test_number_arithmetic.py.
#pragma once

#include "frontend/syntax.h"
#include "support/py_ref.h"

#include <optional>
#include <vector>

namespace bifront {

// Of two numbers, one of them of the graph; nothing where one is something else or fits no graph,
// and for operators that only Python has.
std::optional<PyRef> numberArithmetic(syntax::BinaryOp op, PyObject *left, PyObject *right);
// Of abs(), divmod(), pow(), float.is_integer() and conjugate(); nothing for other functions.
std::optional<PyRef> numberFunction(PyObject *function, const std::vector<PyRef> &arguments);
// What min() and max() of two numbers of one kind give, one of which only the run knows.
std::optional<PyRef> extremeOfNumbers(PyObject *one, PyObject *other, bool isLeast);
// An attribute that numbers of Python have, of one of the graph; null where it has none of that
// name here.
PyRef attributeOfNumber(PyObject *number, PyObject *name);

} // namespace bifront
