// How runs make opaque calls (runtime/python_calls.h).
#pragma once

namespace bifront {

// Tells the executor; once for the process.
void givePythonCalls();

} // namespace bifront
