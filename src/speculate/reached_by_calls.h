// What opaque calls may see and write, beside what the graph has as inputs.
#pragma once

#include "capture/capture.h"
#include "frontend/opaque_sites.h"
#include "frontend/python_effects.h"

#include <vector>

namespace bifront {

// The run cannot put back what is in inputs, if opaque calls write there: throws. `reached`: as
// Interpretation's; arrays among it that may change are noted in `sites`.
void refuseReached(const Capture &capture, const std::vector<PyRef> &reached,
                   const std::vector<PythonRead> &reads, OpaqueSites *sites);

} // namespace bifront
