// The process's heap.
#pragma once

#include <cstddef>

namespace bifront {

// From here on memory is worth giving back to the system when it is not needed.
constexpr size_t kLargeMemory = size_t{8} << 20;

// Gives pages that the heap holds free back to the system, also those amid pages in use. Takes
// milliseconds.
void returnFreeMemory();

} // namespace bifront
