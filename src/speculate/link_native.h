// Tells the JIT where the functions that machine code calls are: the runtime's, and torch's Sleef.
#pragma once

namespace bifront {

// Does so once for the process.
void linkNativeSymbols();

} // namespace bifront
