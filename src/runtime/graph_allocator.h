// Where the CPU tensors that operators allocate during a graph run go: to planned places of the
// arena, to the frame's pool, or (what leaves the graph) to ordinary memory. Installed once as
// torch's CPU allocator; outside of graph runs it passes everything to the one that was there.
#pragma once

#include "runtime/arena.h"
#include "runtime/block_pool.h"

#include <c10/core/Allocator.h>

#include <span>

namespace bifront {

// "The first allocation of exactly `bytes` may go to the slot's place." Nothing depends on its
// being taken: an operator may allocate something else of the same size first, or nothing at all,
// so whoever gives hints looks afterwards at where the result really lies.
struct PlacementHint {
  size_t bytes;
  SlotId slot;
  int64_t offset;
  bool taken = false;
};

// While one lives, this thread's allocations go to `pool`, and where hints say so to the arena.
// Scopes nest; the innermost decides.
class AllocationScope {
public:
  explicit AllocationScope(BlockPool *pool);
  ~AllocationScope();
  AllocationScope(const AllocationScope &) = delete;

  void useArena(Arena *used);
  // For the next operator. The hints are the caller's and must live until the next call of this.
  void place(std::span<PlacementHint> next) { hints = next; }
  // What is allocated from now on is ordinary memory (or not any more).
  void ordinary(bool yes) { ordinaryMemory = yes; }

private:
  friend class GraphAllocator;
  BlockPool *pool;
  Arena *arena = nullptr;
  std::span<PlacementHint> hints;
  bool ordinaryMemory = false;
  AllocationScope *outer;
  BlockPool *outerPool;
  Arena *outerArena;
};

// Torch's own CPU allocator. The first call installs ours in front of it; that must happen while no
// other thread sets one, and is done at the first executor.
c10::Allocator &ordinaryAllocator();

} // namespace bifront
