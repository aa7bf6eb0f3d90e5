// Makes room for what regions and functions write, ahead of functionalisation:
//
//   scf.if %c {
//     bf.aten "aten::relu_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
//   }
// becomes
//   %0 = scf.if %c -> (tensor<4xf32>) {
//     bf.aten "aten::relu_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
//     scf.yield %x : tensor<4xf32>
//   } else {
//     scf.yield %x : tensor<4xf32>
//   }
//
// A loop carries what it writes in both regions, and a function that is called returns the
// arguments that it writes. These come last, in the order of TensorMemory. Values still name
// tensors: it is functionalisation that hands on contents. Tested by
// test/passes/functionalise_regions.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"

namespace bifront {

void carryWrites(mlir::ModuleOp module);

} // namespace bifront
