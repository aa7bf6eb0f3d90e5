#include "codegen/pack_arena.h"

#include "runtime/program.h"

#include <algorithm>
#include <numeric>

namespace bifront {
namespace {

int64_t aligned(int64_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

} // namespace

// Large blocks first, each into the smallest gap between those that live beside it.
ArenaLayout packArena(const std::vector<ArenaBlock> &blocks) {
  ArenaLayout layout;
  layout.offsets.assign(blocks.size(), 0);
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return blocks[a].bytes != blocks[b].bytes ? blocks[a].bytes > blocks[b].bytes : a < b;
  });
  std::vector<size_t> placed; // by offset
  for (size_t block : order) {
    int64_t bytes = aligned(blocks[block].bytes), end = 0, best = -1, bestGap = 0;
    for (size_t other : placed) {
      if (blocks[other].last < blocks[block].first || blocks[block].last < blocks[other].first)
        continue;
      int64_t gap = layout.offsets[other] - end;
      if (gap >= bytes && (best < 0 || gap < bestGap)) {
        best = end;
        bestGap = gap;
      }
      end = std::max(end, layout.offsets[other] + aligned(blocks[other].bytes));
    }
    int64_t offset = best < 0 ? end : best;
    layout.offsets[block] = offset;
    layout.bytes = std::max(layout.bytes, offset + bytes);
    auto later =
        std::upper_bound(placed.begin(), placed.end(), offset, [&](int64_t value, size_t other) {
          return value < layout.offsets[other];
        });
    placed.insert(later, block);
  }
  return layout;
}

} // namespace bifront
