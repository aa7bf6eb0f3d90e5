// Takes the gradients of results out of a function, into one that runs when their seeds are known:
//
//   func @step(%x, %w, %seed) {            // results = 1, seeds = [2]
//     %y = mm(%x, %w)    %e = exp(%y)
//     %g = mul(%seed, %e)    %gw = mm(%x^T, %g)
//     return %e, %gw
//   }
// becomes
//   func @step(%x, %w) { %y = mm(%x, %w)    %e = exp(%y)    return %e, %e }
//   func @step(%e, %x, %seed) { %g = mul(%seed, %e)    %gw = mm(%x^T, %g)    return %gw }
//
// What only the gradients need is computed behind the seeds, as eager does it. A tape that the
// function leaves is returned as what is saved is, and taken from behind the seeds. Tested by
// tests/test_trainable_results.py.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <cstdint>
#include <vector>

namespace bifront {

struct BackwardSplit {
  // Asked for: how many of the function's returns are results; the seeds are its last arguments.
  unsigned numResults = 0, numSeeds = 0;
  // Made: the module of the gradients. It takes the forward's returns behind its results, these
  // arguments of the forward, and the seeds.
  mlir::OwningOpRef<mlir::ModuleOp> backward;
  std::vector<uint32_t> savedInputs;
  // For each argument before the seeds, the seeds whose gradients its contents go into; that of a
  // tensor of which only the sizes count has none.
  std::vector<std::vector<uint32_t>> readers;
  // For each seed, those that something saved is read for together with it: eager would go through
  // one node for both.
  std::vector<std::vector<uint32_t>> meets;
};

mlir::LogicalResult splitBackward(mlir::ModuleOp module, BackwardSplit &split);

} // namespace bifront
