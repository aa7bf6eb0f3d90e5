// A loop over a generator that only the loop goes through.
#pragma once

#include "frontend/interpreter.h"

namespace bifront {

struct Interpreter::GeneratorLoop {
  const void *site;
  std::function<void(PyRef item)> begin; // an iteration
  LoopBody body;
  PyRef first = {}; // as Iterable's
};

} // namespace bifront
