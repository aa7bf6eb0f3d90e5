#include "runtime/graph_allocator.h"

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
    if (!scope || scope->ordinaryMemory || bytes == 0)
      return ordinary.allocate(bytes);
    for (PlacementHint &hint : scope->hints) {
      if (!hint.taken && hint.bytes == bytes) {
        hint.taken = true;
        return scope->arena->lease(hint.slot, hint.offset);
      }
    }
    void *contents = scope->pool->allocate(bytes);
    return {contents, contents, &BlockPool::free, c10::Device(c10::DeviceType::CPU)};
  }

  // No single deleter fits all that is allocated here, so there is no raw interface.
  c10::DeleterFnPtr raw_deleter() const override {
    return currentScope ? nullptr : ordinary.raw_deleter();
  }

  void copy_data(void *dest, const void *src, std::size_t count) const override {
    ordinary.copy_data(dest, src, count);
  }

  c10::Allocator &ordinary;
};

AllocationScope::AllocationScope(BlockPool *pool)
    : pool(pool), outer(currentScope), outerPool(BlockPool::exchangeCurrent(pool)) {
  currentScope = this;
}

AllocationScope::~AllocationScope() {
  currentScope = outer;
  BlockPool::exchangeCurrent(outerPool);
}

c10::Allocator &ordinaryAllocator() {
  // Never deleted: storages point to it until the process is gone.
  static GraphAllocator *installed = [] {
    auto *allocator = new GraphAllocator(*c10::GetCPUAllocator());
    c10::SetCPUAllocator(allocator, /*priority=*/255);
    return allocator;
  }();
  return installed->ordinary;
}

} // namespace bifront
