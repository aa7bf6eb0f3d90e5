// What the ops of `arith` and `math` compute, on whole tensors of their operands' element types.
// Numbers of the graph are 0-dimensional tensors here.
#pragma once

#include "mlir/IR/Operation.h"

#include <ATen/core/Tensor.h>

#include <span>

namespace bifront {

// The dtype of a signless element or number type; throws std::runtime_error for others. `i8` is
// kChar.
at::ScalarType elementDtype(mlir::Type type);

// Throws std::runtime_error for an op that is not known.
at::Tensor evaluateElementOp(mlir::Operation &op, std::span<const at::Tensor> operands);

} // namespace bifront
