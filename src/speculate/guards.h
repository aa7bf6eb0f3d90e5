// What a walked call has read of Python's values, as checks before each run of the graph; no check
// runs the program's code. A dict or a type that has not changed at all since the last check costs
// one comparison.
#pragma once

#include "frontend/python_effects.h"
#include "speculate/value_pattern.h"
#include "speculate/varying.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_set>
#include <vector>

namespace bifront {

// A slot whose value varies: no more is taken for granted than what the pattern says.
struct SlotPattern {
  Slot slot;
  ValuePattern pattern;
};

// What differs from what guards take for granted.
struct SlotDifference {
  std::vector<LeafPlace> values; // that could be inputs
  bool wholly = true;            // with these as inputs nothing would differ
  std::vector<PyRef> replaced;   // containers and objects that the values were
};

// A place whose contents something else than the graph has changed.
struct ValueChange {
  Slot slot;
  bool isContainer;  // all of slot.object: lists of its items, of an array copies
  PyRef before, now; // null: nothing
  void put(const PyRef &value) const;
};

class Guards {
public:
  // Python's values must be as they were before the call. Throws where one is not.
  void compile(const std::vector<PythonRead> &reads, std::vector<SlotPattern> inputs);
  // An object that the call has met in another way.
  void know(PyObject *object);
  bool hold() const;

  // Puts what is in the slots of the inputs into `leaves`; false where that is of another pattern.
  // The slots keep it alive, and numbers this does until the next call.
  bool fetch(PyObject **leaves) const;

  // Of guards that do not hold, or inputs that are of another pattern; puts what is in the inputs
  // into `leaves`. Nothing where what differs could not be an input.
  std::optional<SlotDifference> differs(PyObject **leaves) const;

  // What is in the slots of the inputs.
  std::vector<PyRef> inputValues() const;
  // What is not as it was when the guards held, and these were the values of the inputs.
  std::vector<ValueChange> changes(const std::vector<PyRef> &inputs) const;

  // Whether the call has met this object in Python's values.
  bool knows(PyObject *object) const { return known_.contains(object); }
  int traverse(visitproc visit, void *arg) const;

private:
  struct Item {
    PyRef key, value; // value null: absent
  };
  struct DictGuard {
    PyRef dict;
    std::vector<Item> items;
    mutable uint64_t version = 0;
    bool holds() const;
  };
  struct MemberGuard {
    Slot slot; // of other kinds than DictItem
    PyRef value;
    bool holds() const;
  };
  struct ContainerGuard {
    PyRef container;
    std::vector<Item> items;  // in order; keys of dicts only
    std::vector<bool> varies; // of an item: it is a SlotInput
    mutable uint64_t version = 0;
    bool holds() const;
    bool compare() const;
    bool compareDict() const;
    Slot slotOf(size_t item) const;
  };
  struct ClassContents {
    PyTypeObject *type;
    std::vector<Item> items;
    std::vector<PyRef> others; // names of items that are slots, with guards of their own
    bool isOther(PyObject *key) const;
    bool holds() const;
  };
  struct TypeGuard {
    PyTypeObject *type;
    std::vector<uint32_t> contents; // of the types that it inherits from, in order
    std::vector<PyRef> order;       // its mro
    mutable unsigned version = 0;
    bool holds(const std::vector<ClassContents> &contents) const;
  };
  // Also that the object's dict is still the one whose items are guarded.
  struct ObjectGuard {
    PyRef object, type;
    PyObject **dictPlace = nullptr;
    PyRef dict = {};
    bool holds() const;
  };

  // What a call of the function runs.
  struct FunctionGuard {
    PyRef function, code, defaults; // defaults may be null
    PyRef keywordDefaults;          // as well; what is in it has a guard of its own
    bool holds() const;
  };

  // What a function of bifront's answers for an object.
  struct AnswerGuard {
    PyRef function, argument, answer;
    bool holds() const;
  };

  void compileSlot(const PythonRead &read);
  void compileContainer(PyObject *container, const std::vector<SlotPattern> &inputs);
  void compileType(PyTypeObject *type);
  void compileObject(PyObject *object, PyObject *type);
  void compileFunction(PyObject *function);
  uint32_t contentsOf(PyTypeObject *type);

  // A slot that does not hold what it did. `difference`: nothing where it could not be an input.
  struct Change {
    Slot slot;
    std::optional<ValueDifference> difference;
  };
  void forEachSlot(const std::function<void(const Slot &, PyObject *value)> &use) const;
  bool addChanges(const ContainerGuard &guard, std::vector<Change> &changes) const;
  bool hasLengthGuard(PyObject *list) const;
  bool addHolders(const ContainerGuard &guard, std::vector<Change> &changes) const;

  std::vector<TypeGuard> types_;
  std::vector<ClassContents> contents_;
  std::vector<Slot> classItems_; // that are slots
  std::vector<ObjectGuard> objects_;
  std::vector<FunctionGuard> functions_;
  std::vector<AnswerGuard> answers_;
  std::vector<DictGuard> dicts_;
  std::vector<MemberGuard> members_;
  std::vector<ContainerGuard> containers_;
  std::vector<SlotPattern> inputs_;
  mutable std::vector<PyRef> numbers_;   // of the inputs: a length is made anew each time
  std::unordered_set<PyObject *> known_; // kept alive by the guards
};

// Of a list, deque or set; and of a dict, in its order, whatever a subclass does.
std::vector<PyRef> itemsOf(PyObject *container);
std::vector<PyRef> keysOf(PyObject *dict);
PyObject *itemOf(PyObject *dict, PyObject *key); // borrowed; null: nothing

// What is in a slot; null: nothing. Runs no Python code.
PyRef valueIn(const Slot &slot);
bool isNumberOrTensor(PyObject *value); // that may become an input

} // namespace bifront
