// Turns writes to tensors into new values:
//
//   func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
//     %0 = bf.aten "aten::add_.Tensor"(%x, %x, 1) : ...
//     %1 = bf.aten "aten::relu"(%x) : ...
//     return %1
// becomes
//     %0 = bf.aten "aten::add.Tensor"(%x, %x, 1) : ...
//     %1 = bf.aten "aten::relu"(%0) : ...
//     bf.store %0 to %x
//     return %1
//
// A write through a view becomes a new base; later reads of the base and of its other views come
// from that. A write without a pure twin stays the same call in functional form (`writes [0]`).
// What a branch, a loop or a function writes becomes a result of it (carry_writes.h), after each
// tensor has got one name (unite_names.h). What cannot be said so (a view whose inverse is not
// known, inputs that share memory, reading one of several tensors of which another was written)
// fails with a reason, and the caller leaves the function to CPython. Tested by
// test/passes/functionalise*.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createFunctionalisePass();

// Contract afterwards: no call writes an operand; the stores are behind everything else.
mlir::LogicalResult functionalise(mlir::ModuleOp module);

// An input's index of another input that it shares memory with (an i64, set by capture).
constexpr const char *kAliasOfAttr = "bf.alias_of";

// How the reason ends where such an input is written.
constexpr const char *kSharesMemory = "shares memory with another input";

} // namespace bifront
