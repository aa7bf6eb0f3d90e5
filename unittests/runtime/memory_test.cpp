#include "runtime/arena.h"
#include "runtime/block_pool.h"
#include "runtime/graph_allocator.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

namespace bifront {
namespace {

// Counts what is taken from the ordinary allocator.
class CountingSource final : public c10::Allocator {
public:
  c10::DataPtr allocate(size_t bytes) override {
    ++live;
    void *memory = ::operator new(bytes, std::align_val_t(64));
    return {memory, memory, &CountingSource::release, c10::Device(c10::DeviceType::CPU)};
  }
  void copy_data(void *dest, const void *src, std::size_t count) const override {
    std::memcpy(dest, src, count);
  }
  static void release(void *memory) {
    --live;
    ::operator delete(memory, std::align_val_t(64));
  }
  static std::atomic<int> live;
};
std::atomic<int> CountingSource::live{0};

struct CurrentPool {
  explicit CurrentPool(BlockPool *pool) : before(BlockPool::exchangeCurrent(pool)) {}
  ~CurrentPool() { BlockPool::exchangeCurrent(before); }
  BlockPool *before;
};

TEST(BlockPool, GivesAlignedMemoryOfEverySize) {
  CountingSource source;
  BlockPool *pool = BlockPool::create(source);
  {
    CurrentPool current(pool);
    for (size_t bytes : {1ul, 63ul, 64ul, 65ul, 1023ul, 1024ul, 1025ul, 2047ul, 2048ul, 2049ul,
                         100000ul, (1ul << 20) + 1, (1ul << 22)}) {
      void *memory = pool->allocate(bytes);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 64, 0u);
      std::memset(memory, 1, bytes);
      BlockPool::free(memory);
      EXPECT_EQ(pool->allocate(bytes), memory);
      BlockPool::free(memory);
    }
  }
  pool->close();
  EXPECT_EQ(CountingSource::live, 0);
}

TEST(BlockPool, UsesALargerBlockButNotAMuchLargerOne) {
  CountingSource source;
  BlockPool *pool = BlockPool::create(source);
  {
    CurrentPool current(pool);
    void *big = pool->allocate(1 << 20);
    BlockPool::free(big);
    void *tiny = pool->allocate(1000);
    EXPECT_NE(tiny, big);
    void *close = pool->allocate((1 << 20) - (1 << 16));
    EXPECT_EQ(close, big);
    BlockPool::free(tiny);
    BlockPool::free(close);
  }
  pool->close();
  EXPECT_EQ(CountingSource::live, 0);
}

TEST(BlockPool, BlocksOutliveTheirOwner) {
  CountingSource source;
  BlockPool *pool = BlockPool::create(source);
  void *kept = pool->allocate(500), *also = pool->allocate(5000);
  pool->close();
  std::memset(kept, 7, 500);
  EXPECT_EQ(CountingSource::live, 2);
  BlockPool::free(kept);
  std::thread([&] { BlockPool::free(also); }).join();
  EXPECT_EQ(CountingSource::live, 0);
}

TEST(BlockPool, TakesBackWhatOtherThreadsFree) {
  CountingSource source;
  BlockPool *pool = BlockPool::create(source);
  {
    CurrentPool current(pool);
    for (int round = 0; round < 50; ++round) {
      std::vector<void *> blocks;
      for (int i = 0; i < 64; ++i)
        blocks.push_back(pool->allocate(64 + 100 * (i % 7)));
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
          for (size_t i = t; i < blocks.size(); i += 4)
            BlockPool::free(blocks[i]);
        });
      for (std::thread &thread : threads)
        thread.join();
    }
    EXPECT_LE(pool->blocksFromSource(), 64u);
  }
  pool->close();
  EXPECT_EQ(CountingSource::live, 0);
}

TEST(BlockPool, LetsGoOfIdleBlocks) {
  CountingSource source;
  BlockPool *pool = BlockPool::create(source);
  {
    CurrentPool current(pool);
    BlockPool::free(pool->allocate(1 << 20));
    for (int run = 0; run < 64; ++run) {
      BlockPool::free(pool->allocate(256));
      pool->endRun();
    }
    EXPECT_EQ(pool->cachedBytes(), 256u);
  }
  pool->close();
  EXPECT_EQ(CountingSource::live, 0);
}

TEST(Arena, LivesAsLongAsALease) {
  CountingSource source;
  Arena *arena = Arena::create(source, 1024, {256, 0, 256});
  c10::DataPtr lease = arena->lease(256);
  EXPECT_EQ(lease.get(), arena->at(256));
  EXPECT_TRUE(arena->isLeased(256));
  EXPECT_FALSE(arena->isLeased(0));
  c10::DataPtr hold = arena->hold(0);
  EXPECT_EQ(arena->leased(), 1u);
  arena->release();
  std::memset(lease.get(), 1, 64);
  lease.clear();
  EXPECT_EQ(CountingSource::live, 1);
  hold.clear();
  EXPECT_EQ(CountingSource::live, 0);
}

class GraphAllocatorTest : public testing::Test {
protected:
  void SetUp() override {
    pool = BlockPool::create(ordinaryAllocator());
    arena = Arena::create(ordinaryAllocator(), 4096, {0, 512});
  }
  void TearDown() override {
    arena->release();
    pool->close();
  }
  BlockPool *pool;
  Arena *arena;
};

TEST_F(GraphAllocatorTest, LeavesOthersAlone) {
  at::Tensor outside = at::empty({100});
  EXPECT_NE(outside.storage().data_ptr().get_deleter(), &BlockPool::free);
  AllocationScope scope(pool);
  std::thread([] {
    at::Tensor other = at::empty({100});
    EXPECT_NE(other.storage().data_ptr().get_deleter(), &BlockPool::free);
  }).join();
  scope.ordinary(true);
  EXPECT_NE(at::empty({100}).storage().data_ptr().get_deleter(), &BlockPool::free);
}

TEST_F(GraphAllocatorTest, PutsTheRightSizeIntoThePlannedPlace) {
  AllocationScope scope(pool);
  std::vector<PlacementHint> hints{{400, 0, 0}, {400, 1, 512}};
  scope.useArena(arena);
  scope.place(hints);
  at::Tensor other = at::empty({50}), first = at::empty({100}), second = at::empty({100});
  at::Tensor third = at::empty({100});
  EXPECT_EQ(other.storage().data_ptr().get_deleter(), &BlockPool::free);
  EXPECT_EQ(first.data_ptr(), arena->at(0));
  EXPECT_EQ(second.data_ptr(), arena->at(512));
  EXPECT_EQ(third.storage().data_ptr().get_deleter(), &BlockPool::free);
  EXPECT_EQ(arena->leased(), 2u);
}

TEST_F(GraphAllocatorTest, ASteadyStateTakesNothingFromTheSource) {
  size_t fetched = 0;
  for (int run = 0; run < 10; ++run) {
    AllocationScope scope(pool);
    at::Tensor a = at::ones({1000}), b = a + 1, c = (a * b).sum();
    if (run == 1)
      fetched = pool->blocksFromSource();
  }
  EXPECT_EQ(pool->blocksFromSource(), fetched);
}

TEST_F(GraphAllocatorTest, TensorsOutliveScopePoolAndThread) {
  at::Tensor kept;
  std::thread([&] {
    BlockPool *own = BlockPool::create(ordinaryAllocator());
    {
      AllocationScope scope(own);
      kept = at::full({1000}, 3.0f);
    }
    own->close();
  }).join();
  EXPECT_EQ(kept.sum().item<float>(), 3000.0f);
  kept.resize_({5000});
  EXPECT_EQ(kept[10].item<float>(), 3.0f);
}

// As oneDNN does.
TEST_F(GraphAllocatorTest, HasARawInterface) {
  c10::Allocator *allocator = c10::GetCPUAllocator();
  void *before = allocator->raw_allocate(100), *during, *kept;
  {
    AllocationScope scope(pool);
    scope.useArena(arena);
    std::vector<PlacementHint> hints{{400, 0, 0}, {800, 1, 512}};
    scope.place(hints);
    void *placed = allocator->raw_allocate(400);
    EXPECT_EQ(placed, arena->at(0));
    kept = allocator->raw_allocate(800);
    allocator->raw_deallocate(placed);
    EXPECT_EQ(arena->leased(), 1u);
    allocator->raw_deallocate(before);
    allocator->raw_deallocate(allocator->raw_allocate(100));
    during = allocator->raw_allocate(100);
  }
  EXPECT_EQ(pool->blocksFromSource(), 1u);
  allocator->raw_deallocate(during);
  std::thread([&] { allocator->raw_deallocate(kept); }).join();
  EXPECT_EQ(arena->leased(), 0u);
}

TEST_F(GraphAllocatorTest, ScopesNest) {
  BlockPool *innerPool = BlockPool::create(ordinaryAllocator());
  {
    AllocationScope outer(pool);
    at::Tensor a = at::empty({100});
    {
      AllocationScope inner(innerPool);
      at::Tensor b = at::empty({100});
      EXPECT_EQ(innerPool->blocksFromSource(), 1u);
      a.reset(); // of the outer pool
    }
    at::Tensor c = at::empty({100});
    EXPECT_EQ(pool->blocksFromSource(), 1u);
  }
  innerPool->close();
}

} // namespace
} // namespace bifront
