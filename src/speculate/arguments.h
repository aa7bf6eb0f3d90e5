// The objects that a call brings to a conversion: its arguments, their patterns, and values in
// slots that vary; and which of their dimensions vary.
#pragma once

#include "capture/capture.h"
#include "frontend/kinds.h"
#include "speculate/convert.h"
#include "speculate/precheck.h"

#include <torch/csrc/autograd/python_variable.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bifront {

class Arguments {
public:
  explicit Arguments(const ConversionRequest &request);

  // The leaf of a value in a slot that varies.
  uint32_t add(const Slot &slot, PyObject *value);

  // The leaf of a slot that another path has met.
  std::optional<uint32_t> leafOf(const Slot &slot) const;

  const std::vector<PyObject *> &leaves() const { return leaves_.objects; } // each object once
  PyObject *object(size_t leaf) const { return leaves_.objects[leaf]; }
  bool isTensor(size_t leaf) const { return THPVariable_Check(object(leaf)); }
  // Only those that are inputs as numbers, or tensors.
  bool isNumber(size_t leaf) const {
    return isChoice(leaf) || (isNumberOrTensor(object(leaf)) && !isTensor(leaf));
  }
  // A value of which the graph has a number.
  bool isChoice(size_t leaf) const { return choices_.contains(leaf); }
  const at::Tensor &tensor(size_t leaf) const { return THPVariable_Unpack(object(leaf)); }
  // An object of which the graph knows its class.
  bool isPointer(size_t leaf) const {
    return paths_.contains(leaf) && !isNumberOrTensor(object(leaf));
  }

  LeafPlace placeOf(uint32_t leaf) const;

  // How to say that a number is to be a constant after all.
  Varying asVarying(size_t leaf) const;

  // Sizes of the dimensions in both worlds. Equal sizes are taken to be one dimension: that is what
  // a batch is, and the prechecks hold later calls to it.
  std::vector<Dim> dimsOf(size_t leaf);

  bool isDynamic(size_t leaf, int64_t d) const {
    return decision(leaf, d) || (dynamic_[leaf][d] && tensor(leaf).size(d) > 1);
  }

  std::vector<DecidedDim> decidedDims(size_t leaf) const;
  // These sizes as dimensions of the leaves, by their values in the two worlds.
  Varying withSizes(const std::set<std::pair<int64_t, int64_t>> &sizes) const;

  // Dynamic dimensions that were one size, so that they must stay equal.
  std::vector<std::vector<std::pair<uint32_t, int64_t>>> equalDims() const;

  std::vector<TensorPrecheck::Size> sizeChecks(size_t leaf) const;

  std::string nameOf(size_t leaf) const { return "arg" + std::to_string(leaf); }

  std::vector<ValuePattern> patterns;
  uint32_t numArgumentLeaves = 0;

private:
  void readRelaxed(uint32_t leaf);
  std::optional<DecidedDim> decision(size_t leaf, int64_t d) const;

  void markDynamic(const std::variant<int64_t, std::string> &argument, int64_t dimension);

  int64_t otherWorld(int64_t size);
  int64_t largeSize(int64_t size);

  const ConversionRequest &request_;
  Leaves leaves_;
  std::map<size_t, ArgumentPath> paths_; // of numbers, by their leaf
  std::map<size_t, ArgumentPath> choices_;
  std::map<size_t, Slot> slots_;
  std::vector<std::vector<bool>> dynamic_;
  std::vector<std::vector<DecidedDim>> decided_;
  std::map<int64_t, int64_t> factors_;
};

} // namespace bifront
