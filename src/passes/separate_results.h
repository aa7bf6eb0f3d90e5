// Gives results that are different tensors to the program values of their own, after passes have
// merged equal ones:
//
//   %0 = bf.aten "aten::exp"(%x) : ...
//   return %0, %0 {bf.objects = array<i32: 1, 2>, bf.storages = array<i32: 1, 2>}
// becomes
//   %0 = bf.aten "aten::exp"(%x) : ...
//   %1 = bf.aten "aten::clone"(%0, none) : ...
//   return %0, %1
//
// Results with the same memory but of different objects get an `aten::alias`. The last pass: CSE
// behind it would merge them again. Tested by test/passes/separate_results.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

// On func.return and bf.store_attr, set by functionalisation: for each tensor operand (of a
// store_attr the value), a number that says which tensor object it is, and which tensor's memory it
// lies in. The numbers below that of the inputs are inputs.
constexpr const char *kObjectsAttr = "bf.objects";
constexpr const char *kStoragesAttr = "bf.storages";

std::unique_ptr<mlir::Pass> createSeparateResultsPass();
void separateResults(mlir::ModuleOp module);

// Whether the value, or a view of it, is returned or assigned to an attribute.
bool escapes(mlir::Value value);
// The value that `value` is a view of, through any number of views.
mlir::Value viewedValue(mlir::Value value);

} // namespace bifront
