// Gives a tensor that goes by several names one of them, while values still name tensors:
//
//   %r = scf.while (%a = %x) : (tensor<4xf32>) -> tensor<4xf32> {
//     scf.condition(%go) %a : tensor<4xf32>
//   } do {
//   ^bb0(%b: tensor<4xf32>):
//     %0 = bf.aten "aten::add_.Tensor"(%b, %y, 1) : ...
//     scf.yield %0 : tensor<4xf32>
//   }
//   use(%r)
// becomes a loop that carries nothing, writes %x, and is followed by use(%x).
//
// The same for a branch whose sides yield one tensor, and for a function that returns its argument.
// Tested by test/passes/functionalise_regions.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"

namespace bifront {

void uniteNames(mlir::ModuleOp module);

} // namespace bifront
