// What the program has in the places of the leaves: proxies, numbers of the graph, and copies of
// the containers around them.
#pragma once

#include "capture/capture.h"
#include "speculate/arguments.h"
#include "speculate/choices.h"
#include "speculate/path_sizes.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bifront {

class Proxies {
public:
  Proxies(Capture &capture, Arguments &arguments, PathSizes &sizes, Choices &choices,
          std::map<uint32_t, uint32_t> &leafOfInput);

  std::vector<PyRef> rebuildArguments();

  // As InterpreterHost::inputFor. What is in a slot has a stand-in where it varies, and where it is
  // an argument, or in another such slot, too.
  std::optional<std::pair<PyRef, uint32_t>> inputFor(const Slot &slot, PyObject *value,
                                                     const Varying &varying);

  // Whether a copy is in the place of the object.
  bool isReplaced(PyObject *object) const { return isLeaf(object) && !isTensor(object); }
  // An object of the program that is such a copy.
  bool isCopy(PyObject *object) const;

  // The leaf that the program knows as `object`; nothing for numbers.
  std::optional<uint32_t> leafOf(PyObject *object) const;
  bool isContainer(PyObject *object) const;
  // The tensor whose proxy has its attributes there.
  std::optional<uint32_t> leafWithDict(PyObject *dict) const;

private:
  bool isLeaf(PyObject *object) const;
  void noteLeaves();
  uint32_t declare(uint32_t leaf);
  PyRef make(uint32_t leaf);
  PyRef makeTensor(uint32_t leaf);
  PyRef choice(uint32_t leaf, PyObject *object, const std::string &name);

  Capture &capture_;
  Arguments &arguments_;
  PathSizes &sizes_;
  Choices &choices_;
  std::map<uint32_t, uint32_t> &leafOfInput_;
  std::map<uint32_t, uint32_t> inputOfLeaf_; // of tensors
  std::vector<PyRef> values_;                // by leaf
  std::map<PyObject *, uint32_t> leafOf_;
};

} // namespace bifront
