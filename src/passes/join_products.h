// Makes one product of those that are added to one large sum:
//
//   %p = bf.aten "aten::mm"(%t0, %x0)              %g = bf.aten "aten::cat"([%g0, %g1], 0)
//   %s:2 = bf.aten "aten::addmm_"(%p, %t1, %x1) => %x = bf.aten "aten::cat"([%x0, %x1], 0)
//                                                  %t = bf.aten "aten::t"(%g)
//                                                  %s = bf.aten "aten::mm"(%t, %x)
//
// where %t0 and %t1 are %g0 and %g1 transposed, as they are in gradients of a weight that an
// unrolled loop uses. A sum that no cache holds is else read and written for every few rows. Behind
// sum_products.h; what it leaves of loops and functions is defer_products.h's. Tested by
// test/passes/join_products.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createJoinProductsPass();
void joinProducts(mlir::ModuleOp module);

} // namespace bifront
