// How runs read Python objects (runtime/object_reads.h).
#pragma once

namespace bifront {

// Tells the executor; once for the process.
void giveObjectReads();

} // namespace bifront
