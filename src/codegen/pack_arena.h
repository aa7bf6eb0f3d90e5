// Puts blocks with lifetimes into as little memory as best fit finds.
#pragma once

#include <cstdint>
#include <vector>

namespace bifront {

// Alive from step `first` to step `last`, both included.
struct ArenaBlock {
  int64_t bytes;
  uint32_t first, last;
};

struct ArenaLayout {
  std::vector<int64_t> offsets; // multiples of kArenaAlignment
  int64_t bytes = 0;
};

// Blocks that are alive in one step do not overlap.
ArenaLayout packArena(const std::vector<ArenaBlock> &blocks);

} // namespace bifront
