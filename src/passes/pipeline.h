// The order in which passes run: the one place to read it.
#pragma once

#include "passes/derivative_source.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <string>
#include <vector>

namespace bifront {

struct PipelineOptions {
  bool fuse = true;          // merge pointwise groups
  bool lowerPointwise = true;
  std::string dumpBefore;    // "all" or passes' names, separated by commas: IR goes to stderr
  std::string dumpAfter;
  bool verify =
#ifdef NDEBUG
      false;
#else
      true;
#endif
  std::vector<std::string> disabled; // names of optional passes to leave out
};

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

// Runs everything up to code generation. `derivatives` may be null where the module has no bf.grad. A
// failed module is not to be used.
PipelineResult runPipeline(mlir::ModuleOp module, const PipelineOptions &options,
                           DerivativeSource *derivatives);

// Makes the passes and `--bf-pipeline` known to bf-opt.
void registerPasses();

} // namespace bifront
