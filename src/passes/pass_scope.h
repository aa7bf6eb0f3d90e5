// Runs one pass of the pipeline: times it, dumps around it, verifies behind it, and says whose
// fault it was.
#pragma once

#include "passes/pipeline.h"

#include "mlir/IR/Diagnostics.h"

#include <functional>
#include <string_view>

namespace bifront {

class PassScope {
public:
  PassScope(mlir::ModuleOp module, const PipelineOptions &options, PipelineResult &result)
      : module(module), options(options), result(result) {}

  // False where the pass failed or left invalid IR; the pipeline ends there.
  bool run(std::string_view name, llvm::function_ref<mlir::LogicalResult()> pass);
  // The same for a pass without which the graph is still right; options may leave it out.
  bool runOptional(std::string_view name, llvm::function_ref<mlir::LogicalResult()> pass);

private:
  mlir::ModuleOp module;
  const PipelineOptions &options;
  PipelineResult &result;
};

} // namespace bifront
