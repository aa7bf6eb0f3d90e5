// What opaque calls return, and what is read of that. Of such an object the walk knows a sample, as
// a call that was tried out has returned it, and relies on its class alone, which the graph asserts
// where the object is made. Loops carry such objects, branches merge them, functions are given
// them.
#pragma once

#include "capture/recording.h"
#include "frontend/lanes.h"
#include "support/py_ref.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

namespace bifront {

// Whose memory an array may lie in.
struct SharedMemory {
  PyRef tensor = {}; // null: an array from outside, which runs keep apart from what they write
  int64_t version = 0;
  size_t writesBefore = 0; // of the recording
  ValueId array = 0;       // the copy that the graph has of the tensor
};

struct OpaqueObject {
  PyRef sample;
  std::vector<SharedMemory> shared = {};
  bool mayBeNone = false; // or of the sample's class
  // Of an array: which array of bools has selected its rows. A hint.
  ValueId selectedBy = kNoValue;
  // Of an array: a tuple of ints and numbers of the graph. Null where the walk does not know them.
  PyRef sizes = {};

  bool sharesWithTensor() const; // of which the graph has a copy
};

// One of these objects of the program, all of one class: which, only the run knows.
struct Choice {
  std::vector<PyRef> objects;
  PyRef number; // as an index: of the graph, from the end where it is negative
};

class OpaqueObjects {
public:
  OpaqueObjects(Recording &recording, Lanes &lanes) : recording_(recording), lanes_(lanes) {}

  void note(ValueId value, OpaqueObject object);
  // Whether a sample is nobody else's, so that a trial may write to it.
  bool isOurs(PyObject *sample) const;
  // Null for other values.
  const OpaqueObject *find(ValueId value) const;
  // Of a pointer, or of data of numpy that comes from outside; nothing for other objects.
  std::optional<OpaqueObject> of(PyObject *object) const;
  // One that is either of these, of which one may be None; nothing where they have no class in
  // common. Throws CannotMerge where that would leave the memory of a tensor unknown.
  std::optional<OpaqueObject> merged(PyObject *one, PyObject *other) const;
  // Whether the object may be in the place of one that was made of others.
  bool fits(const OpaqueObject &place, PyObject *object) const;
  // The pointers that may leave the graph: another array than eager's is not among them.
  std::set<ValueId> leaving() const;
  bool sharesNothing() const; // none of them lies in memory of others
  void noteChoice(ValueId value, Choice choice) { choices_[value] = std::move(choice); }
  // Null for other objects.
  const Choice *choice(PyObject *object) const;
  const std::map<ValueId, Choice> &choices() const { return choices_; }

private:
  Recording &recording_;
  Lanes &lanes_;
  std::map<ValueId, OpaqueObject> known_;
  std::map<ValueId, Choice> choices_;
  // Of arrays from outside: trials of writes are not to change these. Those that are too large for
  // that are their own.
  mutable std::map<PyObject *, std::pair<PyRef, PyRef>> copies_; // with the array
  PyRef sampleOf(PyObject *array) const;
};

} // namespace bifront
