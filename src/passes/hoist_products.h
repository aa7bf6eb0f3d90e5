// Makes one product ahead of a loop of those that each iteration makes of another row:
//
//   %y = scf.while (%t = %c0, ...) {              %all = bf.aten "aten::reshape"(%x, [-1, 256])
//     ...                                         %p = bf.aten "aten::mm"(%all, %w)
//     %x_t = bf.aten "aten::select.int"(%x, 0, %t)   %ps = bf.aten "aten::reshape"(%p, [35, 20,
//     1024]) %p_t = bf.aten "aten::mm"(%x_t, %w)    =>   %y = scf.while (%t = %c0, ...) {
//     ...                                           %p_t = bf.aten "aten::select.int"(%ps, 0, %t)
//   }                                               ...
//                                                 }
//
// where %x and %w are from outside and the loop goes through all rows, so that none is multiplied
// for nothing. Runs ahead of autodiff: gradients of the weight, the bias and the rows become one
// product behind the backward loop each, too. Tested by test/passes/hoist_products.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createHoistProductsPass();
void hoistProducts(mlir::ModuleOp module);

} // namespace bifront
