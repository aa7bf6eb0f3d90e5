// What ops return, without their kernels: sizes, strides and dtypes, in one shape world at a time.
// PyTorch's own inference is registered from Python and takes 50 to 500 us an op; a rule takes
// under one. tests/test_shape_rules.py compares each rule with PyTorch's meta kernel and with the
// real result.
#pragma once

#include "capture/extent.h"

#include <ATen/core/ivalue.h>

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace bifront {

// A call that a rule looks at: its arguments by their position in the schema.
class RuleCall {
public:
  // `byValues`: the sizes that stand for what the call's values decide.
  RuleCall(c10::ArrayRef<c10::IValue> args, int world, const Dim &byValues = {{0, 0}})
      : args_(args), world_(world), byValues_(byValues.world[world]) {}

  size_t size() const { return args_.size(); }
  bool isNone(size_t index) const;
  // Null where the tensor is absent.
  const Extent *tensor(size_t index);
  // Of a list of tensors; empty where one of them is absent.
  std::vector<const Extent *> tensors(size_t index);
  // Numbers; throws CaptureError where a shape depends on a tensor's value.
  int64_t integer(size_t index) const;
  Dims integers(size_t index) const;
  // Whether a number, which may be a size, depends on a tensor's value.
  bool isByValues(size_t index) const;
  bool flag(size_t index) const { return args_[index].toBool(); }
  std::vector<bool> flags(size_t index) const;
  bool isBool(size_t index) const { return args_[index].isBool() || args_[index].isSymBool(); }
  bool isComplex(size_t index) const { return args_[index].isComplexDouble(); }
  at::MemoryFormat format(size_t index) const { return args_[index].toMemoryFormat(); }
  // Whether a layout and a memory format, where they are given, are the usual ones.
  bool isUsualLayout(size_t index) const;
  bool isUsualFormat(size_t index) const;
  std::optional<at::ScalarType> dtype(size_t index) const;
  int64_t byValues() const { return byValues_; }

  // Results, in the schema's order. A returned argument of an in-place op is not a result.
  void returns(Extent extent) { results.emplace_back(std::move(extent)); }
  void returnsNothing() { results.emplace_back(std::nullopt); }
  std::vector<std::optional<Extent>> results;

private:
  const Extent *extentOf(const at::Tensor &tensor);

  c10::ArrayRef<c10::IValue> args_;
  int world_;
  int64_t byValues_;
  std::vector<std::unique_ptr<Extent>> outside_; // extents of tensors that are no proxies
};

// False: this call is not one that the rule knows (or it is wrong, and the meta kernel says how).
using ShapeRule = bool (*)(RuleCall &call);

// Null where there is none. `name` is "aten::add.Tensor".
ShapeRule shapeRule(std::string_view name);

// Of ops that return a tensor of which values decide one size; null for others. No meta kernel
// knows more.
ShapeRule valueShapeRule(std::string_view name);

// All ops that have a rule.
std::vector<std::string_view> opsWithShapeRules();

} // namespace bifront
