// A list from before the call that the program adds to from call to call, as a loop goes through
// it: its items from before the call are read when the graph runs, those that the call has appended
// come behind them.
#pragma once

#include "frontend/interpreter.h"

namespace bifront {

struct Interpreter::GrownList {
  PyRef before;           // how many there were, a number of the graph
  std::vector<PyRef> own; // what the call has appended
};

} // namespace bifront
