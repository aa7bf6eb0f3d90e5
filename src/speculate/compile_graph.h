// From a captured module to native code.
#pragma once

#include "capture/derivative.h"
#include "passes/split_backward.h"
#include "runtime/executor.h"

#include "mlir/IR/BuiltinOps.h"

#include <memory>
#include <string>

namespace bifront {

struct CompiledGraph {
  std::shared_ptr<Executor> executor;
  std::shared_ptr<Executor> gradients; // of what `split` takes out; else null
  std::string text;                    // after all passes
};

TorchDerivatives &torchDerivatives(); // those of the process

// Spends the module. Throws ConversionError. `split`: as runPipeline's.
CompiledGraph compileGraph(mlir::ModuleOp module, BackwardSplit *split = nullptr);

} // namespace bifront
