// The library that holds ATen's kernels, found by one of its functions: Python loads torch where
// lookups by name alone do not see it.
#pragma once

namespace bifront {

// For dlsym(), which looks into what it needs as well. Null where there is none to be found.
void *atensLibrary();

} // namespace bifront
