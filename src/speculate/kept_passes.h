// The passes of a conversion, or what they made of an equal module in an earlier process
// (docs/decisions/031).
#pragma once

#include "passes/pipeline.h"

namespace bifront {

// As runPipeline with the process's options and derivatives.
PipelineResult runPipelineOrRead(mlir::ModuleOp module, DerivativeSource &derivatives,
                                 BackwardSplit *split);

} // namespace bifront
