// The passes of a conversion, or what they made of an equal module in an earlier process
// (docs/decisions/031).
#pragma once

#include "passes/pipeline.h"

#include <string>

namespace bifront {

// As runPipeline with the process's options and derivatives.
PipelineResult runPipelineOrRead(mlir::ModuleOp module, DerivativeSource &derivatives,
                                 BackwardSplit *split);

// A module with the lines of the program, which assertions and errors name.
std::string exactTextOf(mlir::ModuleOp module);
// All that a compiled graph follows from in this process.
std::string sourceTextOf(mlir::ModuleOp module, const BackwardSplit *split);
// Stands for that text.
std::string sourceHashOf(mlir::ModuleOp module);

} // namespace bifront
