#include "runtime/block_pool.h"

#include "support/heap.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>
#include <unordered_set>
#include <utility>

#include <unistd.h>

namespace bifront {
namespace {

thread_local BlockPool *currentPool = nullptr;

size_t muchMemory() {
  static const size_t bytes =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE)) / 8;
  return bytes;
}

// The contents of all blocks of all pools. Changed only where memory comes from the source or goes
// back.
struct Registry {
  std::mutex mutex;
  std::unordered_set<const void *> blocks;
};

Registry &registry() {
  static auto *instance = new Registry; // tensors may be freed while the process ends
  return *instance;
}

} // namespace

// Lies right before the contents and keeps their alignment.
struct alignas(64) BlockPool::Block {
  BlockPool *pool;
  Block *next;
  void *sourceContext;
  c10::DeleterFnPtr sourceDeleter;
  uint32_t sizeClass;
  uint32_t lastRun;

  void *contents() { return this + 1; }
  static Block *of(void *contents) { return static_cast<Block *>(contents) - 1; }
};

BlockPool *BlockPool::create(c10::Allocator &source) { return new BlockPool(source); }

BlockPool *BlockPool::exchangeCurrent(BlockPool *pool) {
  BlockPool *before = currentPool;
  currentPool = pool;
  return before;
}

// Steps of 64 bytes up to 1 KiB, then eight classes an octave: at most an eighth is lost.
size_t BlockPool::classOf(size_t bytes) {
  if (bytes <= kSmallStep * kSmallClasses)
    return (bytes - 1) / kSmallStep;
  size_t octave = std::bit_width(bytes - 1) - 1; // 2^octave < bytes <= 2^(octave + 1)
  size_t step = (size_t{1} << octave) / kPerOctave;
  size_t part = (bytes - 1 - (size_t{1} << octave)) / step;
  return kSmallClasses + (octave - 10) * kPerOctave + part;
}

size_t BlockPool::bytesOf(size_t sizeClass) {
  if (sizeClass < kSmallClasses)
    return (sizeClass + 1) * kSmallStep;
  size_t octave = (sizeClass - kSmallClasses) / kPerOctave + 10;
  size_t part = (sizeClass - kSmallClasses) % kPerOctave;
  return (size_t{1} << octave) / kPerOctave * (kPerOctave + part + 1);
}

void BlockPool::giveBack(Block *block) {
  {
    std::lock_guard lock(registry().mutex);
    registry().blocks.erase(block->contents());
  }
  c10::DeleterFnPtr deleter = block->sourceDeleter;
  deleter(block->sourceContext);
}

BlockPool::Block *BlockPool::fetch(size_t sizeClass) {
  c10::DataPtr memory = source.allocate(sizeof(Block) + bytesOf(sizeClass));
  // The source aligns to 64 bytes, as every kernel of ATen relies on.
  void *at = memory.get();
  c10::DeleterFnPtr deleter = memory.get_deleter();
  Block *block = new (at) Block{
      this, nullptr, memory.release_context(), deleter, static_cast<uint32_t>(sizeClass), run};
  ++fetched;
  inAll += bytesOf(sizeClass);
  std::lock_guard lock(registry().mutex);
  registry().blocks.insert(block->contents());
  return block;
}

void *BlockPool::allocate(size_t bytes) {
  size_t wanted = classOf(bytes);
  if (wanted >= kClasses)
    throw std::bad_alloc();
  if (returned.load(std::memory_order_relaxed))
    takeReturned();
  // A block up to a quarter larger is better than a new one.
  Block *block = nullptr;
  for (size_t c = wanted; !block && c < std::min(wanted + 3, kClasses); ++c) {
    block = freeBlocks[c];
    if (block) {
      freeBlocks[c] = block->next;
      cached -= bytesOf(c);
    }
  }
  if (!block) {
    makeRoom(bytesOf(wanted));
    block = fetch(wanted);
  }
  mostUsed = std::max(mostUsed, inAll - cached);
  references.fetch_add(1, std::memory_order_relaxed);
  return block->contents();
}

void BlockPool::keep(Block *block) {
  block->lastRun = run;
  block->next = freeBlocks[block->sizeClass];
  freeBlocks[block->sizeClass] = block;
  cached += bytesOf(block->sizeClass);
}

void BlockPool::free(void *contents) {
  Block *block = Block::of(contents);
  BlockPool *pool = block->pool;
  if (pool == currentPool) {
    pool->keep(block);
    pool->references.fetch_sub(1, std::memory_order_relaxed); // the owner's own reference remains
    return;
  }
  if (pool->closed.load(std::memory_order_acquire)) {
    giveBack(block);
  } else {
    block->next = pool->returned.load(std::memory_order_relaxed);
    while (!pool->returned.compare_exchange_weak(block->next, block, std::memory_order_release,
                                                 std::memory_order_relaxed)) {
    }
  }
  pool->dropReference();
}

bool BlockPool::freeIfBlock(void *contents) {
  {
    std::lock_guard lock(registry().mutex);
    if (!registry().blocks.contains(contents))
      return false;
  }
  free(contents);
  return true;
}

void BlockPool::takeReturned() {
  Block *block = returned.exchange(nullptr, std::memory_order_acquire);
  while (block) {
    Block *next = block->next;
    keep(block);
    block = next;
  }
}

void BlockPool::endRun() {
  takeReturned();
  ++run;
  size_t before = cached;
  if (run % kIdleRuns == 0) {
    dropIdle(kIdleRuns);
    mostUsedBefore = std::exchange(mostUsed, 0);
  }
  if (run % kIdleRunsOfMuch == 0 && cached > muchMemory())
    dropIdle(kIdleRunsOfMuch);
  if (before - cached >= kLargeMemory)
    returnFreeMemory();
}

// For a new block: what is not used is at most half of what is used at once.
void BlockPool::makeRoom(size_t bytes) {
  constexpr size_t kLittle = size_t{256} << 20;
  size_t used = std::max({mostUsed, mostUsedBefore, inAll - cached + bytes});
  size_t limit = std::max(used + used / 2, kLittle);
  for (size_t c = kClasses; c-- > 0;)
    while (freeBlocks[c] && inAll + bytes > limit) {
      Block *block = std::exchange(freeBlocks[c], freeBlocks[c]->next);
      block->next = nullptr;
      giveBackList(block);
    }
}

void BlockPool::dropIdle(uint32_t runs) {
  for (size_t c = 0; c < kClasses; ++c) {
    // The list is last in, first out, so idle blocks are at its end.
    Block **link = &freeBlocks[c];
    while (*link && run - (*link)->lastRun <= runs)
      link = &(*link)->next;
    giveBackList(std::exchange(*link, nullptr));
  }
}

void BlockPool::giveBackList(Block *first) {
  while (first) {
    Block *next = first->next;
    cached -= bytesOf(first->sizeClass);
    inAll -= bytesOf(first->sizeClass);
    giveBack(first);
    first = next;
  }
}

void BlockPool::takeFrom(BlockPool &other) {
  other.takeReturned();
  for (Block *&list : other.freeBlocks)
    while (list) {
      Block *block = std::exchange(list, list->next);
      size_t bytes = bytesOf(block->sizeClass);
      other.cached -= bytes;
      other.inAll -= bytes;
      inAll += bytes;
      block->pool = this;
      keep(block);
    }
}

void BlockPool::shrink() {
  size_t before = cached;
  for (Block *&list : freeBlocks)
    giveBackList(std::exchange(list, nullptr));
  if (before >= kLargeMemory)
    returnFreeMemory();
}

void BlockPool::close() {
  closed.store(true, std::memory_order_release);
  takeReturned();
  for (Block *&list : freeBlocks)
    giveBackList(std::exchange(list, nullptr));
  dropReference();
}

void BlockPool::dropReference() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) != 1)
    return;
  // Blocks that were pushed while the owner closed.
  Block *block = returned.exchange(nullptr, std::memory_order_acquire);
  while (block) {
    Block *next = block->next;
    giveBack(block);
    block = next;
  }
  delete this;
}

} // namespace bifront
