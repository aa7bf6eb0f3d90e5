// The seam between conversion and the front end: a function is walked on proxies, and what it read
// of Python's values and did to them comes out.
#pragma once

#include "capture/capture.h"
#include "frontend/interpreter.h"

#include <functional>
#include <optional>
#include <span>

namespace bifront {

struct Interpretation {
  PyRef result; // null with an exception set
  PythonEffects effects;
  uint32_t framesPerCall = 0;     // as Interpreter's
  std::vector<PyRef> reached;     // by opaque calls with effects, as InterpreterHost's
  std::vector<std::string> notes; // for people: what went one way, and why
};

struct WalkRequest {
  PyObject *function;
  std::span<PyObject *const> arguments; // keyword arguments last
  PyObject *keywordNames;               // may be null
  // bifront._reachable_state.reachable
  PyObject *reachable;
  // As InterpreterHost's; may be null.
  bool assumesInBranches = true; // as ConversionRequest's
  Policies *policies = nullptr;
  bool unrollsAll = true;
  // Asked for before the walk, so that C functions too find the inputs in their places.
  std::vector<Slot> varying;
  // As InterpreterHost's; may be empty.
  std::function<std::optional<std::pair<PyRef, uint32_t>>(const Slot &, PyObject *)> inputFor;
  std::function<bool(PyObject *)> isReplaced, isCopy;
  std::function<PyRef(ValueId)> exampleOf; // as InterpreterHost's
  OpaqueSites *sites = nullptr;            // as well
  std::function<size_t()> numDecided = {}; // as well
};

// Python's values are as they were behind it. Throws CannotInterpret.
Interpretation walk(Capture &capture, const WalkRequest &request);

} // namespace bifront
