// Expands every `bf.reached`: bools that follow the tensors, through branches, loops and calls, and
// say whether a tensor of this run has a history that leads to a target.
//
//   %y = scf.if %c -> (tensor<3xf32>) {            %y:2 = scf.if %c -> (tensor<3xf32>, i1) {
//     %t = bf.aten "aten::mul.Tensor"(%a, %w)        %t = bf.aten "aten::mul.Tensor"(%a, %w)
//     scf.yield %t                                   scf.yield %t, %true
//   } else {                                   =>  } else {
//     scf.yield %a                                   scf.yield %a, %false
//   }                                              }
//   %r = bf.reached outputs(%y) wrt(%w)            // %y#1 in the place of %r
//
// A function gets a form for each selection of arguments whose history matters; the bools come
// behind its arguments and its results. Expects functionalised IR. Tested by
// test/passes/reached.mlir and, against PyTorch's autograd,
// unittests/semantics/region_gradients_test.cpp.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createExpandReachedPass();
mlir::LogicalResult expandReached(mlir::ModuleOp module);

} // namespace bifront
