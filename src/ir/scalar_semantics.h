// Python's arithmetic on int, float and bool in `arith` and `math`.
#pragma once

#include "ir/graph_recorder.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Value.h"

namespace bifront {

// What Python would raise for, or give another type for (ZeroDivisionError, a power that leaves the
// integers, an int beyond 64 bits), becomes a bf.assert. Throws std::invalid_argument for operands
// that are no numbers.
mlir::Value emitScalarOp(mlir::OpBuilder &builder, mlir::Location loc, ScalarOp op,
                         mlir::ValueRange operands);

} // namespace bifront
