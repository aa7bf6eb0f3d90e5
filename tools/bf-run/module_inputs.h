// The tensors and numbers that bf-run gives to a function, and how it prints and compares values.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bifront {

struct InputOptions {
  uint64_t seed = 0;
  unsigned world = 0;      // which of its two sizes a dynamic dimension gets
  int64_t unknownSize = 3; // for a `?` without worlds
};

// Floats are drawn from a normal distribution, integers from 0 to 9, booleans fairly. An argument
// with bf.requires_grad requires gradients.
std::vector<c10::IValue> randomInputs(mlir::func::FuncOp function, const InputOptions &options);

// A list or tuple of tensors and numbers that torch.save wrote. Throws std::runtime_error.
std::vector<c10::IValue> loadInputs(const std::string &path);

// Copies that share nothing with the originals, gradients included.
std::vector<c10::IValue> copyInputs(const std::vector<c10::IValue> &inputs);

// "f32[2, 3] = 1, 2, ..."; of a large tensor its mean, norm and range.
std::string describe(const c10::IValue &value);

// Empty where a and b are equal: integers and booleans exactly, floats up to `tolerance` relative
// to the largest element.
std::string difference(const c10::IValue &a, const c10::IValue &b, double tolerance);

} // namespace bifront
