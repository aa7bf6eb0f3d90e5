// Makes a functionalised graph smaller without changing one bit of what it computes:
//
//   %0 = bf.aten "aten::t"(%x) : (tensor<2x3xf32>) -> tensor<3x2xf32>
//   %1 = bf.aten "aten::t"(%0) : (tensor<3x2xf32>) -> tensor<2x3xf32>
//   %c = arith.constant 1 : i64
//   %2 = bf.aten "aten::add.Tensor"(%1, %1, %c) : ...
// becomes
//   %2 = bf.aten "aten::add.Tensor"(%x, %x, 1) : ...
//
// Canonicalisation, common subexpressions and dead values are upstream's; the patterns here forward
// views, drop exact identities, and write constants in place. Tested by test/passes/simplify.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createSimplifyPass();
// `combinesBranches`: two on one condition become one, unless they are to be parted
// (splitBackward).
mlir::LogicalResult simplify(mlir::ModuleOp module, bool combinesBranches = true);

} // namespace bifront
