// Takes off tapes what the backward pass can do without:
//
//   %w_t = bf.aten "aten::t"(%w) : ...               %w_t = ...
//   scf.while ... {                                  scf.while ... {
//     bf.push %tape(%w_t, %x, %x)                      bf.push %tape(%x)
//   }                                           =>   }
//   scf.while ... {                                  scf.while ... {
//     %0:3 = bf.pop %tape                              %0 = bf.pop %tape
//     use(%0#0, %0#1, %0#2)                            use(%w_t, %0, %0)
//   }                                                }
//
// and what nobody uses. Simplification finds such values in code that autodiff has made. Pushes and
// pops belong together where their kTapeSiteAttr is the same. Tested by
// test/passes/prune_tapes.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

// On bf.push and bf.pop, set by autodiff: a number that all the pushes and pops of one forward
// block and its backward block have, and no others; also where the blocks are cloned. They push and
// pop the same number of values.
constexpr const char *kTapeSiteAttr = "bf.site";

std::unique_ptr<mlir::Pass> createPruneTapesPass();
void pruneTapes(mlir::ModuleOp module);

} // namespace bifront
