// Cuts what a loop carries for its own next value only, so that canonicalisation can drop it:
//
//   ^bb0(%i: i64, %v: tensor<4xf32>):       ^bb0(%i: i64, %v: tensor<4xf32>):
//     %0 = bf.aten "aten::neg"(%v) : ...      %0 = bf.aten "aten::neg"(%v) : ...
//     scf.yield %next, %0                 =>  scf.yield %next, %x
//
// where the loop starts with %x, and neither its effects, its condition nor a result that is used
// needs %v. Tested by test/passes/simplify.mlir.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace bifront {

void cutUnreadCarries(mlir::func::FuncOp function);

} // namespace bifront
