// Where the names of a function live: as CPython's compiler has it, but for those that a
// comprehension binds, which get slots and cells of their own.
#pragma once

#include "frontend/syntax.h"

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace bifront::syntax {

class Names {
public:
  explicit Names(PyCodeObject *code);

  // An identifier as the compiler has it: with the class's name if it is private, and interned.
  PyRef mangled(PyObject *identifier) const;

  // A name that is read. `place` must stay where it is until finish(): what is found later may
  // change it.
  void load(PyObject *identifier, Binding &place);
  // A name that is assigned, deleted or bound in another way.
  void bind(PyObject *identifier, Binding &place);

  // Between these two the names that the comprehension binds are its own. The second gives the
  // cells that it makes.
  void enterComprehension(const std::vector<PyRef> &identifiers);
  std::vector<uint32_t> leaveComprehension();

  // The cells that a nested function takes along.
  std::vector<uint32_t> closureOf(PyCodeObject *nested);

  // Behind the last name: settles the places, and fills in the function's counts.
  void finish(Function &function);

private:
  struct Variable { // of a comprehension
    Binding binding;
    std::vector<Binding *> places; // that have the binding
  };
  using Scope = std::unordered_map<PyObject *, Variable>;

  Variable *inComprehension(PyObject *name);
  void capture(Variable &variable);
  void useVariable(Variable &variable, Binding &place);
  Binding inFunction(const PyRef &name) const;

  PyCodeObject *code_;
  std::string privateClass_; // without leading underscores
  std::vector<PyRef> slotNames_;
  std::unordered_map<PyObject *, uint32_t> slots_, cells_, closure_;
  uint32_t numOwnCells_ = 0, numCells_ = 0; // the second with the closure's and comprehensions'
  std::vector<Scope> comprehensions_;       // from the outermost
  std::vector<Binding *> loads_;            // of names that look like the function's own
  std::unordered_set<PyObject *> bound_;    // names that the function binds, as it must its own
};

} // namespace bifront::syntax
