// Which values the program gets to see as tensors once the graph has run, and what passes must
// therefore leave as it is.
#pragma once

#include "ir/bf_dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace bifront {

// Whether the value, or a view of it, is returned or assigned to an attribute, perhaps by way of a
// region, a function or a tape.
bool escapes(mlir::Value value);
// Whether a result of the call may share the memory of its first operand.
bool isView(bf::AtenOp call);
// The value that `value` is a view of, through any number of views.
mlir::Value viewedValue(mlir::Value value);

// The ops that make what escapes where a branch, a loop or a function decides which value it is.
// Merged with equal ones, two tensors of the program would be one on some path, and nobody behind
// could say on which (separate_results.h).
llvm::SmallVector<mlir::Operation *> opsToKeepApart(mlir::func::FuncOp function);

} // namespace bifront
