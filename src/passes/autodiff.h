// Expands every `bf.grad` of a function, in program order:
//
//   %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
//   %g = bf.grad outputs(%y) seeds(%s) wrt(%a) : ...
// becomes
//   %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
//   %g = bf.aten "aten::mul.Tensor"(%s, %b) {no_grad} : (tensor<3xf32>, tensor<3xf32>) ->
//   tensor<3xf32>
//
// in three steps: which values a gradient goes through (autodiff_flow.h), a reverse sweep over the
// ops that make them (autodiff_sweep.h), and for each of them its derivative from the
// DerivativeSource, spliced in. Branches, loops and calls get backward counterparts, to which a
// tape leads:
//
//   %y = scf.if %c -> (tensor<3xf32>) {
//     %t = bf.aten "aten::tanh"(%a) : (tensor<3xf32>) -> tensor<3xf32>
//     scf.yield %t : tensor<3xf32>
//   } else { ... }
//   %g = bf.grad outputs(%y) seeds(%s) wrt(%a) : ...
// becomes
//   %tape = bf.tape : !bf.tape
//   %y = scf.if %c -> (tensor<3xf32>) {
//     %t = bf.aten "aten::tanh"(%a) : (tensor<3xf32>) -> tensor<3xf32>
//     bf.push %tape(%t) : tensor<3xf32>
//     scf.yield %t : tensor<3xf32>
//   } else { ... }
//   %g = scf.if %c -> (tensor<3xf32>) {
//     %t = bf.pop %tape : tensor<3xf32>
//     %ga = bf.aten "aten::tanh_backward"(%s, %t) {no_grad} : ...
//     scf.yield %ga : tensor<3xf32>
//   } else { ... }
//
// Expects functionalised IR and may leave mutating ops behind: derivatives come as PyTorch runs
// them. Tested by test/passes/autodiff.mlir, unittests/passes/autodiff_test.cpp and, against
// PyTorch's autograd, unittests/semantics/region_gradients_test.cpp.
#pragma once

#include "passes/derivative_source.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

// `source` outlives the pass. An op without a derivative fails the pass with a diagnostic at the
// op.
std::unique_ptr<mlir::Pass> createAutodiffPass(DerivativeSource &source);

mlir::LogicalResult expandGradients(mlir::ModuleOp module, DerivativeSource &source);

} // namespace bifront
