// Ops that compute numbers from numbers and from sizes of tensors.
#pragma once

#include "mlir/IR/Operation.h"

namespace bifront {

bool isArithmetic(mlir::Operation *op);

} // namespace bifront
