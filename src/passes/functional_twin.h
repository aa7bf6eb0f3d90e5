// The pure operator behind an in-place one.
#pragma once

#include "ir/aten_op.h"

#include "mlir/IR/Builders.h"

namespace bifront {

// Emits the pure twin of a call that writes its first operand only ("aten::add_.Tensor" ->
// "aten::add.Tensor") before `op`, and gives the new contents, of the operand's type. Null where
// there is no twin of which it is certain that it computes the same; nothing has been emitted then.
mlir::Value emitPureTwin(mlir::OpBuilder &builder, bf::AtenOp op);

// A call of the same operator that works on copies and returns the new contents of `written` behind
// its results.
bf::AtenOp emitFunctionalForm(mlir::OpBuilder &builder, bf::AtenOp op,
                              llvm::ArrayRef<uint32_t> written);

} // namespace bifront
