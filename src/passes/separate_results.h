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
// lies in. The numbers below that of the inputs are inputs. kUnknownTensor where that depends on
// the path taken: the value is then the right one whatever it is, see escapes.h.
constexpr const char *kObjectsAttr = "bf.objects";
constexpr const char *kStoragesAttr = "bf.storages";
constexpr int32_t kUnknownTensor = -1;
// On an aten::clone: its result must be a tensor of its own where it leaves the graph. It goes
// where what it copies is one already.
constexpr const char *kOwnAttr = "bf.own";

// The function that `end` ends has got `count` arguments from number `first` on.
void renumberForArguments(mlir::Operation *end, unsigned first, unsigned count);
// `end` has got `count` more operands, which are no tensors.
void numberMoreResults(mlir::Operation *end, unsigned count);

std::unique_ptr<mlir::Pass> createSeparateResultsPass();
void separateResults(mlir::ModuleOp module);

} // namespace bifront
