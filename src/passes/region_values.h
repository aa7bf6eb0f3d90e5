// Values that regions hand on: the results of scf.if, of scf.while and of arith.select (what
// canonicalisation makes of a branch without ops), and the arguments of a loop's blocks.
#pragma once

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace bifront {

// What such a value may be: what the branches yield, what a loop starts with and goes on with.
// Empty for any other value. A number that is selected is computed, but counts as handed on too.
llvm::SmallVector<mlir::Value> sourcesOf(mlir::Value value);
// The values that a terminator's or a loop's operand becomes; empty for any other use.
llvm::SmallVector<mlir::Value> receiversOf(mlir::OpOperand &use);

// Both branches, or both regions of a loop, hand `values` on too, behind what they hand on already.
// The op has no results for them before `makeResults`.
void handOnToo(mlir::scf::IfOp op, mlir::ValueRange values);
void handOnToo(mlir::scf::WhileOp op, mlir::ValueRange values);
mlir::scf::IfOp makeResults(mlir::scf::IfOp op);
mlir::scf::WhileOp makeResults(mlir::scf::WhileOp op);

// The op without the tensors that it hands on and nobody takes.
void dropUnusedTensors(mlir::scf::IfOp op);
void dropUnusedTensors(mlir::scf::WhileOp op);

} // namespace bifront
