#include "runtime/arena.h"
#include "runtime/block_pool.h"
#include "runtime/call_allocations.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <optional>
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

// A pool that is current, and has given all back when it is closed.
class BlockPoolTest : public testing::Test {
protected:
  void TearDown() override {
    current.reset();
    pool->close();
    EXPECT_EQ(CountingSource::live, 0);
  }

  CountingSource source;
  BlockPool *pool = BlockPool::create(source);
  std::optional<CurrentPool> current{pool};
};

TEST_F(BlockPoolTest, GivesAlignedMemoryOfEverySize) {
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

TEST_F(BlockPoolTest, UsesALargerBlockButNotAMuchLargerOne) {
  void *big = pool->allocate(1 << 20);
  BlockPool::free(big);
  void *tiny = pool->allocate(1000);
  EXPECT_NE(tiny, big);
  void *close = pool->allocate((1 << 20) - (1 << 16));
  EXPECT_EQ(close, big);
  BlockPool::free(tiny);
  BlockPool::free(close);
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

TEST_F(BlockPoolTest, TakesBackWhatOtherThreadsFree) {
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

TEST_F(BlockPoolTest, LetsGoOfIdleBlocks) {
  BlockPool::free(pool->allocate(1 << 20));
  for (int run = 0; run < 64; ++run) {
    BlockPool::free(pool->allocate(256));
    pool->endRun();
  }
  EXPECT_EQ(pool->cachedBytes(), 256u);
}

TEST_F(BlockPoolTest, KeepsSizesThatComeBack) {
  constexpr size_t kSizes[] = {1 << 20, 600 << 10, 300 << 10};
  for (int run = 0; run < 64; ++run) {
    BlockPool::free(pool->allocate(kSizes[run % 3]));
    pool->endRun();
  }
  EXPECT_EQ(pool->blocksFromSource(), 3u);
}

TEST_F(BlockPoolTest, KeepsHalfOfWhatIsUsed) {
  for (size_t mebibytes : {200, 400, 800, 100, 50, 600}) {
    BlockPool::free(pool->allocate(mebibytes << 20));
    EXPECT_LE(pool->cachedBytes(), size_t{1350} << 20); // a half more than 800 and a bit
  }
}

// An eighth of the machine's memory, none of which is touched.
TEST_F(BlockPoolTest, LetsGoOfMuchSooner) {
  auto pages = static_cast<size_t>(sysconf(_SC_PHYS_PAGES));
  BlockPool::free(pool->allocate(pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) / 7));
  for (int run = 0; run < 4; ++run)
    pool->endRun();
  EXPECT_EQ(pool->cachedBytes(), 0u);
}

TEST_F(BlockPoolTest, TakesOverWhatAnotherOneHas) {
  BlockPool *other = BlockPool::create(source);
  void *used = nullptr;
  {
    CurrentPool inUse(other);
    used = other->allocate(100);
    for (size_t bytes : {1000ul, 100000ul})
      BlockPool::free(other->allocate(bytes));
  }
  size_t fetched = pool->blocksFromSource();
  pool->takeFrom(*other);
  EXPECT_EQ(other->cachedBytes(), 0u);
  BlockPool::free(pool->allocate(1000));
  BlockPool::free(pool->allocate(100000));
  EXPECT_EQ(pool->blocksFromSource(), fetched);
  BlockPool::free(used); // is still the other one's, and comes back to it
  EXPECT_EQ(other->cachedBytes(), 0u);
  {
    CurrentPool inUse(other);
    BlockPool::free(other->allocate(100));
  }
  EXPECT_EQ(other->blocksFromSource(), 3u);
  other->close();
}

TEST(Arena, IsMadeOverAnother) {
  CountingSource source;
  Arena *first = Arena::create(source, 1000, {0, 64});
  const char *at = first->at(0);
  EXPECT_EQ(Arena::createOver(first, 2000, {0}), nullptr); // too small
  {
    c10::DataPtr held = first->hold(0);
    EXPECT_EQ(Arena::createOver(first, 500, {0}), nullptr); // somebody else has it too
  }
  Arena *second = Arena::createOver(first, 500, {128});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->at(0), at);
  {
    c10::DataPtr lease = second->lease(128);
  } // is found where it lies
  EXPECT_EQ(second->leased(), 0u);
  second->release();
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
}

using Place = Allocation::Place;

TEST_F(GraphAllocatorTest, LeadsExpectedPiecesToTheirPlaces) {
  AllocationScope scope(pool);
  scope.useArena(arena);
  std::vector<Allocation> pieces{{.bytes = 200},
                                 {.bytes = 400, .place = Place::Arena, .offset = 512},
                                 {.bytes = 400},
                                 {.bytes = 400, .place = Place::Arena, .offset = 0}};
  scope.follow(pieces);
  at::Tensor a = at::empty({50}), b = at::empty({100}), c = at::empty({100}), d = at::empty({100});
  EXPECT_EQ(a.storage().data_ptr().get_deleter(), &BlockPool::free);
  EXPECT_EQ(b.data_ptr(), arena->at(512));
  EXPECT_EQ(c.storage().data_ptr().get_deleter(), &BlockPool::free);
  EXPECT_EQ(d.data_ptr(), arena->at(0));
  EXPECT_EQ(arena->leased(), 2u);
  EXPECT_TRUE(scope.endFollowing());
}

TEST_F(GraphAllocatorTest, LeadsNothingBehindAnUnexpectedPiece) {
  AllocationScope scope(pool);
  scope.useArena(arena);
  std::vector<Allocation> pieces{{.bytes = 400, .place = Place::Arena, .offset = 0},
                                 {.bytes = 400, .place = Place::Arena, .offset = 512}};
  scope.follow(pieces);
  at::Tensor a = at::empty({100});
  EXPECT_EQ(a.data_ptr(), arena->at(0));
  at::Tensor b = at::empty({99}), c = at::empty({100});
  EXPECT_EQ(arena->leased(), 1u);
  EXPECT_FALSE(scope.endFollowing());
  scope.follow(pieces);
  EXPECT_FALSE(scope.endFollowing()); // pieces that did not come
}

// A call that allocates as `operator` does, with two results planned at 0 and 512.
class CallAllocationsTest : public GraphAllocatorTest {
protected:
  void SetUp() override {
    GraphAllocatorTest::SetUp();
    program.slots.resize(2);
    program.slots[0].offset = 0, program.slots[0].bytes = 400;
    program.slots[1].offset = 512, program.slots[1].bytes = 400;
    step.results = {{OperandRef::Kind::Tensor, 0}, {OperandRef::Kind::Tensor, 1}};
    allocations.plan(program, step);
  }
  void run(const std::function<std::vector<c10::IValue>()> &call) {
    AllocationScope scope(pool);
    scope.useArena(arena);
    allocations.begin(scope, arena, scratch);
    results = call();
    arenaIsOurs = allocations.end(scope, arena, scratch, results);
  }
  void *result(size_t k) { return results[k].toTensor().data_ptr(); }

  Program program;
  CallStep step;
  CallAllocations allocations;
  Scratch scratch;
  std::vector<c10::IValue> results;
  bool arenaIsOurs = true;
};

// As oneDNN's convolutions do: the result is what is allocated second.
TEST_F(CallAllocationsTest, ResultsArriveBehindTemporariesOfTheirSize) {
  auto call = [&]() -> std::vector<c10::IValue> {
    at::Tensor big = at::empty({1 << 16}), same = at::empty({100});
    at::Tensor first = at::ones({100}), second = at::ones({100});
    return {second, first};
  };
  for (int i = 0; i < 4; ++i) {
    run(call);
    EXPECT_TRUE(arenaIsOurs);
    EXPECT_EQ(result(0) == arena->at(0), i > 0);
    EXPECT_EQ(result(1) == arena->at(512), i > 0);
    EXPECT_FALSE(scratch.isLeased());
    results.clear();
  }
  EXPECT_EQ(scratch.get()->size(), 1 << 18);
}

TEST_F(CallAllocationsTest, AResultInAnotherOnesPlaceIsMovedAway) {
  bool swapped = false;
  auto call = [&]() -> std::vector<c10::IValue> {
    at::Tensor first = at::full({100}, 1.0f), second = at::full({100}, 2.0f);
    if (swapped)
      return {second, first};
    return {first, second};
  };
  run(call);
  swapped = true;
  run(call);
  EXPECT_EQ(arena->leased(), 0u);
  EXPECT_EQ(results[0].toTensor().sum().item<float>(), 200.0f);
  EXPECT_EQ(results[1].toTensor().sum().item<float>(), 100.0f);
  run(call); // learns
  run(call);
  EXPECT_EQ(result(0), arena->at(0));
  EXPECT_EQ(result(1), arena->at(512));
}

TEST_F(CallAllocationsTest, AResultInScratchMemoryIsMovedAway) {
  bool swapped = false;
  at::Tensor temporary;
  auto call = [&]() -> std::vector<c10::IValue> {
    at::Tensor a = at::ones({1 << 15}), b = at::ones({1 << 15});
    return {swapped ? a : b, at::ones({100})};
  };
  program.slots[0].offset = -1;
  allocations = {};
  allocations.plan(program, step);
  run(call);
  swapped = true;
  run(call);
  EXPECT_FALSE(scratch.contains(result(0)));
  EXPECT_FALSE(scratch.isLeased());
  EXPECT_EQ(results[0].toTensor().sum().item<float>(), float(1 << 15));
}

TEST_F(CallAllocationsTest, WhatSomebodyKeepsIsNotUsedAgain) {
  std::vector<at::Tensor> kept;
  bool keeps = false;
  auto call = [&]() -> std::vector<c10::IValue> {
    at::Tensor temporary = at::full({1 << 15}, 5.0f), first = at::ones({100});
    if (keeps)
      kept = {temporary, first};
    return {keeps ? at::ones({100}) : first, at::ones({100})};
  };
  run(call);
  keeps = true;
  run(call);
  EXPECT_FALSE(arenaIsOurs); // of `first`, which is no result
  EXPECT_FALSE(scratch.contains(kept[0].data_ptr()));
  results.clear();
  std::vector<at::Tensor> before = kept;
  for (int i = 0; i < 8; ++i)
    run(call);
  EXPECT_EQ(before[0].sum().item<float>(), 5.0f * (1 << 15));
  EXPECT_EQ(before[1].sum().item<float>(), 100.0f);
}

// Changing sizes: nothing is led, and nothing goes wrong.
TEST_F(CallAllocationsTest, GivesUpOnAnOperatorThatNeverDoesTheSame) {
  int64_t size = 1 << 15;
  for (int i = 0; i < 20; ++i) {
    run([&]() -> std::vector<c10::IValue> {
      at::Tensor temporary = at::ones({size += 7});
      return {at::ones({100}), at::ones({100})};
    });
    EXPECT_TRUE(arenaIsOurs);
    EXPECT_EQ(results[0].toTensor().sum().item<float>(), 100.0f);
  }
  EXPECT_EQ(arena->leased(), 0u);
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
    std::vector<Allocation> pieces{{.bytes = 400, .place = Place::Arena, .offset = 0},
                                   {.bytes = 800, .place = Place::Arena, .offset = 512}};
    scope.follow(pieces);
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
