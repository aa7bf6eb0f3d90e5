// Gives loops the form in which autodiff can run them backwards: all that is computed is computed
// in the body, and the number of iterations is a result.
//
//   %r = scf.while (%x = %a) : ... {                 %c = cond(%a)
//     %c = cond(%x)                            =>    %r:2 = scf.while (%go = %c, %x = %a, %n = 0) {
//     scf.condition(%c) %x                             scf.condition(%go) %x, %n
//   } do {                                           } do {
//   ^bb0(%y):                                        ^bb0(%y, %k):
//     %next = body(%y)                                 %next = body(%y)
//     scf.yield %next                                  %d = cond(%next)
//   }                                                  scf.yield %d, %next, %k + 1
//
// A loop that counts its iterations already keeps its own count, and tensors that are selected by a
// condition become results of a branch. Tested by test/passes/autodiff.mlir.
#pragma once

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace bifront {

// In `op` and in its regions. May replace `op`.
void countLoops(mlir::Operation *op);

// The result that is the number of iterations.
mlir::Value iterationsOf(mlir::scf::WhileOp loop);
// For each value that such a loop's condition hands on: the number of the carried value that it is,
// or none, where it comes from outside.
llvm::SmallVector<std::optional<unsigned>> carriedNumbers(mlir::scf::WhileOp loop);

} // namespace bifront
