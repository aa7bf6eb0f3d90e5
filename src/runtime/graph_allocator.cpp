#include "runtime/graph_allocator.h"

#include "support/fail_nth.h"

#include <c10/core/CPUAllocator.h>

namespace bifront {
namespace {
thread_local AllocationScope *currentScope = nullptr;
} // namespace

class GraphAllocator final : public c10::Allocator {
public:
  explicit GraphAllocator(c10::Allocator &ordinary) : ordinary(ordinary) {}

  c10::DataPtr allocate(size_t bytes) override {
    AllocationScope *scope = currentScope;
    if (!scope || bytes == 0)
      return ordinary.allocate(bytes);
    return scope->allocate(bytes);
  }

  // oneDNN's tensors use the raw interface. What it frees may be from before, in or after a run.
  c10::DeleterFnPtr raw_deleter() const override { return &rawFree; }
  static void rawFree(void *memory);

  void copy_data(void *dest, const void *src, std::size_t count) const override {
    ordinary.copy_data(dest, src, count);
  }

  c10::Allocator &ordinary;
};

AllocationScope::AllocationScope(BlockPool *pool)
    : pool(pool), outer(currentScope), outerPool(BlockPool::exchangeCurrent(pool)),
      outerArena(Arena::exchangeCurrent(nullptr)) {
  currentScope = this;
}

void AllocationScope::useArena(Arena *used) {
  arena = used;
  Arena::exchangeCurrent(used);
}

c10::DataPtr AllocationScope::allocate(size_t bytes) {
  throwOnPurpose(Failure::Allocation);
  strayed |= next >= expected.size() || expected[next].bytes != bytes;
  if (!strayed) {
    const Allocation &piece = expected[next++];
    switch (piece.place) {
    case Allocation::Place::Arena: return arena->lease(piece.offset);
    case Allocation::Place::Scratch: return scratch->lease(piece.offset);
    case Allocation::Place::Pool: break;
    }
  }
  void *contents = pool->allocate(bytes);
  if (seen)
    seen->push_back({.bytes = bytes, .at = contents});
  return {contents, contents, &BlockPool::free, c10::Device(c10::DeviceType::CPU)};
}

bool AllocationScope::endFollowing() {
  bool followed = !strayed && next == expected.size();
  follow({});
  return followed;
}

AllocationScope::~AllocationScope() {
  currentScope = outer;
  BlockPool::exchangeCurrent(outerPool);
  Arena::exchangeCurrent(outerArena);
}

namespace {

GraphAllocator &installed() {
  // Never deleted: storages point to it until the process is gone.
  static GraphAllocator *allocator = [] {
    auto *made = new GraphAllocator(*c10::GetCPUAllocator());
    c10::SetCPUAllocator(made, /*priority=*/255);
    return made;
  }();
  return *allocator;
}

} // namespace

void GraphAllocator::rawFree(void *memory) {
  if (memory && !BlockPool::freeIfBlock(memory) && !Arena::returnLeaseAt(memory))
    installed().ordinary.raw_deallocate(memory);
}

c10::Allocator &ordinaryAllocator() { return installed().ordinary; }

} // namespace bifront
