// What the calls that no graph has run had for arguments: so a conversion knows at once what of
// them varies, rather than one value more with each graph that does not fit.
#pragma once

#include "speculate/varying.h"

#include <vector>

namespace bifront {

class SeenCalls {
public:
  // The numbers and sizes that differ from those of the call before.
  Varying add(PyObject *const *args, size_t count, PyObject *keywordNames);

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
  std::vector<Leaf> last_; // by path
  PyRef keywordNames_;
};

} // namespace bifront
