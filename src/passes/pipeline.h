// The order in which passes run: the one place to read it.
#pragma once

#include "passes/derivative_source.h"
#include "passes/split_backward.h"
#include "support/options.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>
#include <vector>

namespace bifront {

struct PipelineOptions {
  std::string dumpBefore; // passes' names with commas between, or "all": IR goes to stderr
  std::string dumpAfter;
  std::string
      disabled; // passes to leave out; only simplify, lower-pointwise and fuse-pointwise may be
  bool verify = kDebugBuild;
};

// From the environment (support/options.h).
PipelineOptions pipelineOptions();

struct PassTiming {
  std::string name;
  double milliseconds;
};

struct PipelineResult {
  bool ok = false;
  std::string failedPass; // empty where ok
  std::string reason;     // what the failed pass said, with its location
  std::vector<PassTiming> timings;
};

// Runs everything up to code generation. `derivatives` may be null where the module has no bf.grad.
// With `split`, gradients of results become a module of their own. A failed module is not to be
// used.
PipelineResult runPipeline(mlir::ModuleOp module, const PipelineOptions &options,
                           DerivativeSource *derivatives, BackwardSplit *split = nullptr);

// Makes the passes and `--bf-pipeline` known to bf-opt.
void registerPasses();

} // namespace bifront
