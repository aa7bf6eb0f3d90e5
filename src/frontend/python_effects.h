// What a call reads of Python's values from before it and what it does to them: found by the
// interpreter, checked before each run of the graph and done after it.
#pragma once

#include "support/py_ref.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace bifront {

// A place that holds one Python value.
struct Slot {
  enum class Kind : uint8_t {
    DictItem,  // also an attribute, by its object's dict, and a global
    ListItem,  // the key is an int, which counts from the end where it is negative
    Length,    // of a list; no key
    Cell,      // no key
    Member,    // the key is a member descriptor of the object's type
    ClassItem, // of a class itself, that the call sets; the key is its name
  } kind;
  PyRef object; // the dict, list, cell, or the object that has the member
  PyRef key;
};

// What must be as it was when the graph was made.
struct PythonRead {
  enum class Kind : uint8_t {
    Slot, // its value: the same object, or an equal plain constant; absent where `value` is null
    Container, // a list, dict, set or deque: its length, order and items
    Type,      // a type: no attribute of it or of its bases has changed
    TypeOf, // the object's type, which `__class__ = ...` could change; of a function, which has one
            // type for good, its code and its defaults
    Answer, // what PythonLog::readAnswer was given: `slot.object`, asked about `slot.key`
  } kind;
  Slot slot;   // for the kinds but these only its `object` counts
  PyRef value; // Slot: as it was before the call
};

// A Slot whose value varies from call to call: the graph reads it, and assumes no more than its
// type, or its pattern.
struct SlotInput {
  Slot slot;
  PyRef value;    // as it was before the call: a tensor, a number, a container, an object
  uint32_t input; // the number that those who make the graph gave it
};

// What happens to Python's values behind the graph, in the order of the program. `values` may be,
// or hold, tensors and numbers of the graph, and objects that the call has made.
struct PythonWrite {
  enum class Kind : uint8_t {
    SetSlot, // values[0]
    DeleteSlot,
    Call, // slot.object is a C function that does not fail where the walk's call did not
  } kind;
  Slot slot;
  std::vector<PyRef> values;
  PyRef keywordNames = {}; // Call: of the last values; may be null
  bool isOutput = false;   // Call: it changes none of Python's values, but prints, say
};

// Whether the write is seen by whom reaches these: a dict by the addresses of the objects, and by
// (address, name) for names of a namespace. What is printed everybody sees.
bool isSeen(const PythonWrite &write, PyObject *reached);

struct PythonEffects {
  std::vector<PythonRead> reads;
  std::vector<SlotInput> inputs;
  std::vector<PythonWrite> writes;
  // Whether the call has made this object: then it is to be made at each run of the graph, once,
  // however often it is met. Any other object is itself at each run.
  std::function<bool(PyObject *)> isFresh;
  // Whether a pointer stands for an object that outlives the run as it is: one that shares no
  // memory with a tensor of the graph. May be empty.
  std::function<bool(PyObject *)> isKept = {};
};

} // namespace bifront
