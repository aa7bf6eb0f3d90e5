// Ops that read Python objects, as plain data.
#pragma once

#include "support/object_read.h"

#include "mlir/IR/Operation.h"

#include <optional>

namespace bifront {

// Nothing for other ops.
std::optional<ObjectRead> objectReadOf(mlir::Operation *op);

} // namespace bifront
