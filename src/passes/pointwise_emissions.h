// The tables of emissions, a function for each file.
#pragma once

#include "passes/pointwise_emitter.h"

#include "llvm/ADT/StringMap.h"

namespace bifront {

void addArithmeticEmissions(llvm::StringMap<PointwiseEmission> &table);
void addActivationEmissions(llvm::StringMap<PointwiseEmission> &table);

} // namespace bifront
