// What the calls that no graph has run had for arguments: so a conversion knows at once what of
// them varies, rather than one value more with each graph that does not fit.
#pragma once

#include "speculate/varying.h"

#include <deque>
#include <vector>

namespace bifront {

class Choices;

class SeenCalls {
public:
  // The numbers and sizes that differ from those of the call before.
  Varying add(PyObject *const *args, size_t count, PyObject *keywordNames);

  // Of the last call, which has these choices: whether graphs that know their values may run calls
  // to come. A path costs as much as many calls: beyond the first few values each has to come back
  // before many others do. Not numbers, which the program may need to know on some ways alone.
  bool comesBack(const std::vector<ValuePath> &choices, const Choices &known);

  int traverse(visitproc visit, void *arg) const;

private:
  struct Leaf {
    ValuePath path;
    PyRef value; // a number or a choice; or
    std::vector<int64_t> sizes;
    bool operator<(const Leaf &other) const { return path < other.path; }
  };
  static void note(PyObject *value, const ValuePath &path, std::vector<Leaf> &leaves);

  // A call's objects are not kept; a longer nest than this is data.
  static constexpr size_t kMostLeaves = 256, kDeepest = 8;
  std::vector<Leaf> last_;    // by path
  std::deque<PyRef> unknown_; // the latest choices that no graph has known
  bool noteUnknown(const PyRef &value);
  PyRef keywordNames_;
};

} // namespace bifront
