// What a loop goes through by counting, where the graph may have to: the items of a range, of a
// tensor, of a list that only the run knows, and of zip() and enumerate() over these.
#pragma once

#include "frontend/interpreter.h"
#include "frontend/kinds.h"

namespace bifront {

struct Interpreter::Counting {
  PyRef next, stop, step; // ints, or those of the graph
  PyRef tensor;           // null for a range and for zip(); of enumerate() the first number
  // The items are rows of the tensor, numbers in it, what the pointer leads to, or what a list has
  // had before the call; or they are tuples of the parts' items.
  enum class Of : uint8_t {
    Range,
    Itself,
    Rows,
    Numbers,
    Pointer,
    Grown,
    Zip,
    Enumerate
  } of = Of::Range;
  std::vector<PyRef> own = {}; // items of Grown that come behind them
  std::vector<Counting> parts = {};

  bool isOfGraph() const {
    return isGraphNumber(next.get()) || isGraphNumber(stop.get()) || isGraphNumber(step.get());
  }
  // Whether there are lists of numbers among what is gone through.
  bool hasNumbers() const;
};

} // namespace bifront
