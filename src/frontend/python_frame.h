// A function that is being walked: its variables, and what of it is still to run.
#pragma once

#include "frontend/syntax.h"
#include "support/py_ref.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace bifront {

class Generator;

// The `return`s in the body of a loop. Where the loop is one of the graph, they end it, and what
// they return is evaluated behind it, where the variables are as the iteration has left them.
struct LoopReturns {
  std::vector<const syntax::Stmt *> statements;
  size_t slot; // of the frame: the number of the one that has ended the loop, from 1 on, or 0
};

// The statements that are still to run in a frame, from the outermost body to the innermost.
struct PendingBody {
  enum class Kind : uint8_t {
    Statements,
    LoopBody,     // the end of an iteration of a loop of the graph
    UnrolledLoop, // `site`
    Guarded,      // a statement that must see its body end, as `with` does
  } kind = Kind::Statements;
  const syntax::Body *body = nullptr;
  size_t next = 0;
  const void *site = nullptr;
};

struct PythonFrame {
  // What a loop does with a value that the frame of a generator's yields.
  using Take = std::function<void(PythonFrame &yielding, PyRef value)>;

  const syntax::Function &syntax;
  PyObject *function; // borrowed from the caller
  PyObject *globals, *builtins;
  std::vector<PyRef> slots = {};
  std::vector<PyRef> cells = {};
  PyRef returned = {};
  std::vector<PendingBody> pending = {};
  PyRef breaks =
      {}; // at Completion::LoopBodyEnd: whether the loop ends, a bool or one of the graph
  PythonFrame *caller = nullptr;
  int line = 0;
  const syntax::Expr *expression = nullptr;           // that is being evaluated
  Generator *generator = nullptr;                     // that yields go to
  std::shared_ptr<const syntax::Function> owner = {}; // of the syntax
  size_t forks = 0;                     // ways that were being walked when it was entered
  int comprehensions = 0;               // that are being run
  PyRef locals = {};                    // what locals() has returned
  const LoopReturns *returns = nullptr; // of the innermost loop that is running
  // Of a generator's that is walked within the loop over it: the loop's frame, or that of a
  // generator whose values it yields.
  PythonFrame *consumer = nullptr;
  const Take *take = nullptr;
};

// The variables that what is walked in the frame may change: its own, and behind them those of the
// frame whose loop takes its values.
inline std::vector<PyRef> variablesOf(const PythonFrame &frame) {
  std::vector<PyRef> variables = frame.slots;
  for (const PythonFrame *other = frame.consumer; other; other = other->consumer)
    variables.insert(variables.end(), other->slots.begin(), other->slots.end());
  return variables;
}

inline PyRef &variableAt(PythonFrame &frame, size_t index) {
  PythonFrame *of = &frame;
  for (; index >= of->slots.size(); of = of->consumer)
    index -= of->slots.size();
  return of->slots[index];
}

inline void setVariables(PythonFrame &frame, const std::vector<PyRef> &values) {
  for (size_t i = 0; i < values.size(); ++i)
    variableAt(frame, i) = values[i];
}

// While it lives, a comprehension is being run in the frame.
struct InComprehension {
  explicit InComprehension(PythonFrame &frame) : frame(frame) { ++frame.comprehensions; }
  ~InComprehension() { --frame.comprehensions; }
  InComprehension(const InComprehension &) = delete;
  PythonFrame &frame;
};

// Slots that the frame gets while it lives go with it. Loops of the graph carry what is in them.
struct AddedSlots {
  explicit AddedSlots(PythonFrame &frame) : frame(frame), first(frame.slots.size()) {}
  ~AddedSlots() { frame.slots.resize(first); }
  AddedSlots(const AddedSlots &) = delete;
  PythonFrame &frame;
  const size_t first;
};

enum class Completion : uint8_t { Normal, Break, Continue, Return, LoopBodyEnd };

} // namespace bifront
