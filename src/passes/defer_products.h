// Makes of a sum of matrix products, one for each iteration or call, one product behind them all:
//
//   %s:2 = scf.while (%n = ..., %sum = %zero) {       %rows = bf.tape
//     ...                                             %s = scf.while (%n = ...) {
//     %t = bf.aten "aten::t"(%g)                        ...
//     %p = bf.aten "aten::mm"(%t, %x)             =>    bf.push %rows(%g, %x)
//     %next = bf.aten "aten::add.Tensor"(%sum, %p)      scf.yield ...
//     scf.yield ..., %next                            }
//   }                                                 %gs, %xs = bf.pop_rows %rows
//                                                     %t = bf.aten "aten::t"(%gs)
//                                                     %p = bf.aten "aten::mm"(%t, %xs)
//
// as gradients of weights are, through loops, branches and functions that call themselves. A
// product over few rows (a batch, one node of a tree) takes longer to write and to add up than to
// compute. Where the rows would be more than the product, it stays. Tested by
// test/passes/defer_products.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createDeferProductsPass();
void deferProducts(mlir::ModuleOp module);

} // namespace bifront
