// The objects that a call brings to a conversion: its arguments, values in slots that vary, and the
// patterns of both; and which of their dimensions vary.
#pragma once

#include "capture/capture.h"
#include "frontend/kinds.h"
#include "speculate/convert.h"
#include "speculate/precheck.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bifront {

// A dynamic dimension of which the path that is captured knows the size; or, of one that is
// `onlySmall`, whether it is 0, 1 or more.
struct DecidedDim {
  int64_t index;
  bool onlySmall = false;
  bool parts = false; // as Varying has it
  uint64_t history = 0;
};

class Arguments {
public:
  explicit Arguments(const ConversionRequest &request);

  // What is in a slot that varies: its place among `slots`, also where another path has met it.
  // Nothing for what no pattern can have.
  std::optional<uint32_t> add(const Slot &slot, PyObject *value);

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
    return std::find(leaves_.pointers.begin(), leaves_.pointers.end(), leaf) !=
           leaves_.pointers.end();
  }
  // A container or an object of which a copy stands for it.
  bool isCopied(size_t leaf) const {
    return !isTensor(leaf) && !isNumber(leaf) && !isPointer(leaf);
  }

  LeafPlace placeOf(uint32_t leaf) const;

  // How to say that a number or a slot is to be a constant after all.
  Varying asVarying(size_t leaf) const;

  // Sizes of the dimensions in both worlds. Equal sizes are taken to be one dimension: that is what
  // a batch is, and the prechecks hold later calls to it.
  std::vector<Dim> dimsOf(size_t leaf);

  bool isDynamic(size_t leaf, int64_t d) const {
    return decision(leaf, d) || (dynamic_[leaf][d] && tensor(leaf).size(d) > 1);
  }

  std::vector<DecidedDim> decidedDims(size_t leaf) const;
  // What stands for a size that has been 0 or 1 as well, where nothing need be known of it.
  std::optional<Dim> freeSize(size_t leaf, int64_t d);
  bool isFree(size_t leaf, int64_t d) const;
  bool standsFor(const std::pair<int64_t, int64_t> &size) const; // one of these
  // A dynamic dimension of which nothing is decided but by questions.
  bool isOpen(size_t leaf, int64_t d) const { return isDynamic(leaf, d) && !decision(leaf, d); }
  const std::vector<AskedSizes> &questions() const { return request_.questions; }
  bool mayPinSizes() const { return request_.mayPinSizes; }
  bool asksPinned() const { return request_.asksPinned; }
  // Leaves and dimensions; empty where one of them is none of these.
  std::vector<std::pair<uint32_t, int64_t>> dimensionsOf(const AskedSizes &asked) const;
  // A size for the other world, for each size another multiple of it.
  int64_t otherWorld(int64_t size);
  // These sizes as dimensions of the leaves, by their values in the two worlds.
  Varying withSizes(const std::set<std::pair<int64_t, int64_t>> &sizes);
  // The dynamic dimensions that are one of these in this call.
  Varying withSizesOf(const std::vector<int64_t> &sizes) const;

  // Dynamic dimensions that were one size, so that they must stay equal.
  std::vector<std::vector<std::pair<uint32_t, int64_t>>> equalDims() const;

  std::vector<TensorPrecheck::Size> sizeChecks(size_t leaf) const;

  std::string nameOf(size_t leaf) const { return "arg" + std::to_string(leaf); }

  std::vector<ValuePattern> patterns; // of the arguments
  std::vector<SlotPattern> slots;
  uint32_t numArgumentLeaves = 0;

private:
  void readRelaxed(uint32_t leaf);
  std::optional<DecidedDim> decision(size_t leaf, int64_t d) const;

  void markDynamic(const std::variant<int64_t, std::string> &argument, int64_t dimension);

  int64_t largeSize(int64_t size);

  const ConversionRequest &request_;
  Leaves leaves_;
  std::set<size_t> choices_;      // the leaves of which the graph has a number
  std::vector<PyRef> held_;       // of the slots, which may make their values anew
  std::map<size_t, Slot> slotOf_; // by leaf
  std::optional<Slot> described_; // whose pattern is being made
  std::vector<std::vector<bool>> dynamic_;
  std::vector<std::vector<DecidedDim>> decided_;
  std::map<int64_t, int64_t> factors_;
  std::map<std::pair<int64_t, uint64_t>, Dim> free_; // by size and history
};

} // namespace bifront
