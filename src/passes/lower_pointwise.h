// Gives pointwise ATen ops their body:
//
//   %0 = bf.aten "aten::add.Tensor"(%a, %b, 2) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// becomes
//   %0 = bf.pointwise(%a, %b) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> {
//   ^bb0(%x: f32, %y: f32):
//     %k = arith.constant 2.0 : f32
//     %1 = arith.mulf %y, %k : f32
//     %2 = arith.addf %x, %1 : f32
//     bf.yield %2 : f32
//   }
//
// The body computes what ATen's CPU kernel does: operands in the common dtype, halves in f32. Ops
// without an emission (src/passes/pointwise_emissions*.cpp) stay calls. Only tensors on one device.
// Tested by test/passes/lower_pointwise*.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createLowerPointwisePass();
void lowerPointwise(mlir::ModuleOp module);

} // namespace bifront
