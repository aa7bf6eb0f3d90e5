// What a loop goes through by counting, where the graph may have to: the items of a range, of a
// tensor, of a list that only the run knows, and of zip(), enumerate() and reversed() of these.
#pragma once

#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include <c10/core/SymInt.h>

#include <functional>
#include <optional>
#include <vector>

namespace bifront {

struct Interpreter::Counting {
  // A range; the rows of a tensor; the numbers in one, as tolist() gives them; the rows of a list
  // that grows in the call; what a pointer leads to; what a list has had before the call; or tuples
  // of the parts' items.
  enum class Of : uint8_t { Range, Tensor, Numbers, Stacked, Pointer, Grown, Zip, Enumerate } of;
  PyRef next, stop, step;           // ints, or those of the graph
  PyRef from = {};                  // the tensor, or the list; of enumerate() the first number
  PyRef rows = {}, before = {};     // Stacked: of the list, and what was in it ahead of the loop
  std::vector<PyRef> own = {};      // items of the call that come behind those of Grown
  bool backwards = false;           // from the last one on, as reversed() goes
  bool tellsTrips = true;           // how many there are as a size
  std::vector<Counting> parts = {}; // Zip, Enumerate

  // Nothing where the graph does not count the items: then it is evaluated.
  static std::optional<Counting> find(Interpreter &in, PythonFrame &frame,
                                      const syntax::Expr &iterated, const void *site,
                                      Iterable &iterable);

  PyRef itemAt(Interpreter &in, const PyRef &number) const;
  // How many there still are from the number on; null where that is not known as a size.
  PyRef tripsLeft(Interpreter &in, const PyRef &number) const;
  // The lists that it goes through have not been changed meanwhile.
  void checkUnchanged(Interpreter &in, const void *site) const;
  bool goesUp() const { return PyLong_AsLong(step.get()) > 0; }
  // Whether it is such a one, or one of its parts is.
  bool goesThrough(Of kind) const;

private:
  class Search;
  // Whether only the run knows how many there are.
  bool isOfGraph() const;
  PyRef length(Interpreter &in) const;
  PyRef numberAt(Interpreter &in, const PyRef &position) const;
  PyRef tupleAt(Interpreter &in, const PyRef &number, std::vector<PyRef> items) const;
  bool turn(Interpreter &in);
  // What CPython would go through.
  PyRef iterable(Interpreter &in) const;
  static PyRef listOfNumbers(Interpreter &in, PyObject *tensor);
};

// A loop whose items are told by counting.
struct Interpreter::CountedLoop {
  const void *site, *end; // of the whole, and of its ends ahead of the last item
  const Counting &counting;
  std::function<void(PyRef item)> begin; // an iteration
  LoopBody body;
  const syntax::Body *otherwise = nullptr;
};

// The `object.tolist` of `object.tolist()`; null for others.
const syntax::Attribute *callOfToList(const syntax::Expr &expression);

// An int of Python, or of the graph.
c10::SymInt sizeFrom(PyObject *number);

} // namespace bifront
