// What the calls that no graph has run had for arguments: so a conversion knows at once what of
// them varies, rather than one value more with each graph that does not fit.
#pragma once

#include "speculate/varying.h"

#include <deque>
#include <set>
#include <vector>

namespace bifront {

class Choices;

class SeenCalls {
public:
  // The numbers and sizes that differ from those of the call before.
  Varying add(PyObject *const *args, size_t count, PyObject *keywordNames);

  // Of the last call, where this varies: whether graphs that know its choices, and are for the very
  // objects that are no inputs, may run calls to come. A path costs as much as many calls: beyond
  // the first few values each has to come back before many others do. Not numbers, which the
  // program may need to know on some ways alone.
  // `objects`: those that there are graphs about.
  bool comesBack(const Varying &varying, const Choices &known, const std::set<PyObject *> &objects);
  // Whether one of these objects is among those that had to.
  bool waited() const { return waited_; }

  // Objects among the arguments that are known by their identity, if they are no inputs; borrowed.
  static std::vector<PyObject *> objectsAmong(PyObject *const *args, size_t total);

  int traverse(visitproc visit, void *arg) const;

private:
  struct Leaf {
    ValuePath path;
    PyRef value;                // a number or a choice; or
    std::vector<int64_t> sizes; // of a tensor; or
    PyObject *object = nullptr; // borrowed, and an address alone behind the call
    bool operator<(const Leaf &other) const { return path < other.path; }
  };
  static void note(PyObject *value, const ValuePath &path, std::vector<Leaf> &leaves);
  static bool areAlike(const Leaf &one, const Leaf &other, size_t dimension);
  static void addSiblings(const std::vector<Leaf> &leaves, Varying &varying);

  // A call's objects are not kept; a longer nest than this is data.
  static constexpr size_t kMostLeaves = 256, kDeepest = 8;
  std::vector<Leaf> last_;    // by path
  std::deque<PyRef> unknown_; // the latest choices that no graph has known
  bool noteUnknown(const PyRef &value);
  PyRef keywordNames_;

  // Weak references to objects that no graph is about: what is gone does not come back.
  std::deque<PyRef> waiting_;
  bool takeWaiting(PyObject *object);
  void wait(PyObject *object);
  bool objectsComeBack(const Varying &varying, const std::set<PyObject *> &known);
  bool waited_ = false;
};

} // namespace bifront
