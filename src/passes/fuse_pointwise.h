// Merges pointwise groups over one iteration space, a producer into its consumers and siblings with
// each other:
//
//   %0 = bf.pointwise(%a) : (tensor<4xf32>) -> tensor<4xf32> { exp }
//   %1 = bf.pointwise(%0, %b) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> { add }
// becomes
//   %1 = bf.pointwise(%a, %b) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> { exp, add }
//
// A value that is used elsewhere too becomes one more result. Each block of a branch or a loop is
// fused on its own; nothing moves into or out of one. Tested by
// test/passes/fuse_pointwise.mlir.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace bifront {

struct FusionOptions {
  unsigned maxBodyOps = 4096;
  // Rows of pointers that a kernel walks over.
  unsigned maxTensors = 64;
};

std::unique_ptr<mlir::Pass> createFusePointwisePass();
void fusePointwise(mlir::ModuleOp module, const FusionOptions &options = {});

} // namespace bifront
