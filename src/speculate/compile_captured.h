// From what was captured to the program of a graph, or to that of another graph.
#pragma once

#include "speculate/convert.h"
#include "speculate/paths.h"

namespace bifront {

// Gives `graph` its program, and what its results need to train. Spends the captured module. Throws
// ConversionError.
void compileModule(Captured &captured, ConvertedGraph &graph, const ConversionRequest &request);

} // namespace bifront
