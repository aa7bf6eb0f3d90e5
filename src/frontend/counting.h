// A loop whose iterations are counted: what its items are.
#pragma once

#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include <c10/core/SymInt.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <vector>

namespace bifront {

// The items of a `for` that are told by counting: those of a range, or the parts of a tensor.
struct Interpreter::Counting {
  PyRef next, stop, step; // ints, or those of the graph
  PyRef tensor;           // null for a range
  // The items are rows of the tensor, numbers in it, what the pointer leads to, or what a list has
  // had before the call; of several lists that grow, or with their number, as a tuple.
  enum class Of : uint8_t { Itself, Rows, Numbers, Pointer, Grown, Zip, Enumerate } of = Of::Itself;
  std::vector<PyRef> own = {};  // items of Grown that come behind them
  PyRef list = {}, before = {}; // Rows: the list, and what was in it ahead of the loop
  bool backwards = false;       // Rows: from the last one on
  std::vector<std::unique_ptr<Counting>> parts = {}; // Zip, Enumerate
  bool tellsTrips = true;                            // how many there are as a size

  // Calls that go through lists without looking at what is in them.
  static bool goesThrough(PyObject *callee) {
    PyTypeObject *known[] = {&PyReversed_Type, &PyEnum_Type, &PyZip_Type};
    return std::any_of(std::begin(known), std::end(known), [&](PyTypeObject *type) {
      return callee == reinterpret_cast<PyObject *>(type);
    });
  }
  static std::unique_ptr<Counting> ofRows(Interpreter &in, PyObject *list);
  static std::unique_ptr<Counting> ofExpression(Interpreter &in, PythonFrame &frame,
                                                const syntax::Expr &iterated, PyRef &iterable);
  static std::unique_ptr<Counting> ofCall(Interpreter &in, PythonFrame &frame, PyObject *callee,
                                          const std::vector<syntax::ExprPtr> &arguments,
                                          PyRef &iterable);
  bool findEnd(Interpreter &in);
  PyRef row(Interpreter &in, const PyRef &number) const;
  // The lists that it goes through have not been changed meanwhile.
  void checkUnchanged(const Interpreter &in) const;
  [[noreturn]] void refuse() const;

  bool isOfGraph() const {
    return isGraphNumber(next.get()) || isGraphNumber(stop.get()) || isGraphNumber(step.get());
  }
};

// An int of Python, or of the graph.
c10::SymInt sizeFrom(PyObject *number);

} // namespace bifront
