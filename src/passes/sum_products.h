// Adds products of matrices to their sum where that lies:
//
//   %p = bf.aten "aten::mm"(%a, %b)
//   %s = bf.aten "aten::add.Tensor"(%sum, %p, 1)
//     =>
//   %s:2 = bf.aten "aten::addmm_"(%sum, %a, %b, 1, 1) writes [0]
//
// Of a weight that is used in many places (a loop that was unrolled, say) the products for its
// gradient would all wait for the kernel that adds them up. Tested by
// test/passes/sum_products.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createSumProductsPass();
void sumProducts(mlir::ModuleOp module);

} // namespace bifront
