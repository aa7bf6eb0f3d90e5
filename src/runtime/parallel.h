// Loops that several threads share: ATen's, of the OpenMP library that it has loaded. ATen's own
// parallel_for is compiled with whoever calls it, and is parallel only where that is built for the
// very same library.
#pragma once

#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace bifront {

// Calls `part` with ranges that together are 0 to `count`, each of `grain` or more, all at once.
// Rethrows what one of them throws. In one range where the caller is a part of such a loop.
void parallelFor(int64_t count, int64_t grain, c10::function_ref<void(int64_t, int64_t)> part);

} // namespace bifront
