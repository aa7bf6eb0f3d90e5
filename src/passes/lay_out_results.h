// Gives what leaves the graph the strides that eager gives it. Passes are free to lay values out
// otherwise: a kernel goes by the operands that are left to it, and a value that takes the place of
// a written tensor by its own.
//
//   %y = bf.aten "aten::zeros"(...)
//   bf.aten "aten::copy_"(%y, %x)
//   return %y
// becomes
//   %y = bf.aten "aten::zeros"(...)
//   bf.aten "aten::copy_"(%y, %x)
//   %0 = bf.aten "aten::contiguous"(%y, 0)
//   return %0
//
// At run time that is %y itself where it lies as it should. The first pass: on what was recorded,
// while values name tensors and have the order of their dimensions with them. Left alone are
// tensors of which a view leaves too, and what is not known to be dense. Tested by
// test/passes/lay_out_results.mlir and tests/test_strides.py.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

std::unique_ptr<mlir::Pass> createLayOutResultsPass();
void layOutResults(mlir::ModuleOp module);

} // namespace bifront
