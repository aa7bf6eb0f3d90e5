// Drops what the returned values of a recorded module do not depend on, before functionalisation
// has to look at it:
//
//   %0 = bf.aten "aten::mul.Tensor"(%x, %x) : ...
//   %1 = bf.aten "aten::relu"(%y) : ...
//   %2 = bf.aten "aten::add_.Tensor"(%0, %x, 1) : ...
//   %3 = bf.aten "aten::add_.Tensor"(%1, %x, 1) : ...
//   return %0
// becomes
//   %0 = bf.aten "aten::mul.Tensor"(%x, %x) : ...
//   %2 = bf.aten "aten::add_.Tensor"(%0, %x, 1) : ...
//   return %0
//
// Writes to tensors stay where the tensor, or one that shares its memory, is read later; all other
// effects (assertions, opaque calls, draws of random numbers) stay. Branches and loops stay or go
// as a whole, and so do functions. Tested by test/passes/drop_unread.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createDropUnreadPass();
void dropUnread(mlir::ModuleOp module);

// Erases all ops of these kinds, which have no results.
template <typename... Ops> void eraseOps(mlir::ModuleOp module) {
  module.walk([](mlir::Operation *op) {
    if (mlir::isa<Ops...>(op))
      op->erase();
  });
}

} // namespace bifront
