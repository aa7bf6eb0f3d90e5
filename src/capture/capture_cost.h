// What taking ops into graphs has cost; the program's own Python between them is not in it.
#pragma once

#include <cstdint>

namespace bifront {

struct CaptureCost {
  uint64_t ops = 0;
  double seconds = 0;
};

} // namespace bifront
