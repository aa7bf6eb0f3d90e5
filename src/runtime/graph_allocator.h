// Where the CPU tensors that operators allocate during a graph run go: to planned places of the
// arena, to the frame's scratch memory, or to its pool. Installed once as
// torch's CPU allocator; outside of graph runs it passes everything to the one that was there.
#pragma once

#include "runtime/arena.h"
#include "runtime/block_pool.h"

#include <c10/core/Allocator.h>

#include <span>
#include <vector>

namespace bifront {

// A piece of memory that an operator allocates.
struct Allocation {
  enum class Place : uint8_t { Pool, Arena, Scratch };
  size_t bytes;
  const void *at = nullptr; // where it lay when it was watched
  Place place = Place::Pool;
  int64_t offset = 0;    // in the arena, or in the scratch memory
  SlotId slot = kNoSlot; // whose planned place it is
};

// While one lives, this thread's allocations go to `pool` if nothing else is said. Scopes nest; the
// innermost decides.
class AllocationScope {
public:
  explicit AllocationScope(BlockPool *pool);
  ~AllocationScope();
  AllocationScope(const AllocationScope &) = delete;

  void useArena(Arena *used);
  void useScratch(Arena *used) { scratch = used; }
  // What follows is expected to allocate these pieces in this order: each goes to its place. As
  // soon as an allocation is not the expected one, nothing is directed any more.
  void follow(std::span<const Allocation> pieces) { expected = pieces, next = 0, strayed = false; }
  // Ends it. Whether exactly the expected pieces were allocated.
  bool endFollowing();
  // Appends what is allocated from now on, or stops that.
  void watch(std::vector<Allocation> *pieces) { seen = pieces; }

private:
  friend class GraphAllocator;
  c10::DataPtr allocate(size_t bytes);

  BlockPool *pool;
  Arena *arena = nullptr, *scratch = nullptr;
  std::span<const Allocation> expected;
  size_t next = 0;
  bool strayed = false;
  std::vector<Allocation> *seen = nullptr;
  AllocationScope *outer;
  BlockPool *outerPool;
  Arena *outerArena;
};

// Torch's own CPU allocator. The first call installs ours in front of it; that must happen while no
// other thread sets one, and is done at the first executor.
c10::Allocator &ordinaryAllocator();

} // namespace bifront
