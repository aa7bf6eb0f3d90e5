// Expands every `bf.grad` of a function, in program order:
//
//   %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
//   %g = bf.grad outputs(%y) seeds(%s) wrt(%a) : ...
// becomes
//   %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
//   %g = bf.aten "aten::mul.Tensor"(%s, %b) {no_grad} : (tensor<3xf32>, tensor<3xf32>) ->
//   tensor<3xf32>
//
// in three steps: which values depend on `wrt` (autodiff_activity.h), a reverse sweep over the ops
// that do, and for each of them its derivative from the DerivativeSource, spliced in. Expects
// functionalised IR and may leave mutating ops behind: derivatives come as PyTorch runs them.
// Tested by unittests/passes/autodiff_test.cpp.
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
