// Adds the gradient of a part of a tensor to the sum for the whole where that lies:
//
//   %g = bf.aten "aten::select_backward"(%part, [35, 20, 256], 0, %t)
//   %s = bf.aten "aten::add.Tensor"(%sum, %g, 1)
//     =>
//   %s:2 = bf.aten "bifront::add_selected_"(%sum, %part, 0, %t) writes [0]
//
// A loop that goes through the rows of a tensor would else fill and add up a whole one for each
// row. Sums that may hold a negative zero stay: adding zeros makes a positive one of it. Tested by
// test/passes/sum_parts.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createSumPartsPass();
void sumParts(mlir::ModuleOp module);

} // namespace bifront
