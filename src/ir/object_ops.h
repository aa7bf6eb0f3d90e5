// Ops that read Python objects or call Python functions, as plain data.
#pragma once

#include "ir/bf_dialect.h"
#include "support/object_read.h"
#include "support/python_call.h"

#include "mlir/IR/Operation.h"

#include <optional>

namespace bifront {

// Nothing for other ops.
std::optional<ObjectRead> objectReadOf(mlir::Operation *op);

PythonCall pythonCallOf(bf::PycallOp op);

} // namespace bifront
