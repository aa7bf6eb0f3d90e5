// Memory for what a graph run allocates beside its arena: blocks come back to free lists and are
// used again by the next step, so that a steady state neither calls malloc nor touches fresh pages.
#pragma once

#include <c10/core/Allocator.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bifront {

// One thread at a time owns a pool (it is `current` there) and may allocate; any thread may free,
// also after the owner has closed the pool. The pool deletes itself with its last block.
class BlockPool {
public:
  // `source` outlives the process's pools.
  static BlockPool *create(c10::Allocator &source);

  // Makes the pool (or none) this thread's, and gives back the one that was before.
  static BlockPool *exchangeCurrent(BlockPool *pool);

  // The contents are 64-byte aligned; `free` gives them back. bytes > 0. Owner only.
  void *allocate(size_t bytes);
  static void free(void *contents);
  // For pointers of which that is not known: false where it is no pool's.
  static bool freeIfBlock(void *contents);

  // Blocks that the last kIdleRuns runs did without go back to the source: sizes that vary come
  // back. Where an eighth of the machine's memory is in blocks, it is the last kIdleRunsOfMuch.
  // Owner only.
  void endRun();
  // All free blocks go back to the source. Owner only.
  void shrink();
  // Its free blocks are this pool's from now on. By the owner of both.
  void takeFrom(BlockPool &other);

  // The owner needs the pool no more; blocks in use stay valid. The pointer is dead afterwards.
  void close();

  size_t cachedBytes() const { return cached; }
  // At once, by the last runs.
  size_t mostUsedBytes() const { return std::max(mostUsed, mostUsedBefore); }
  size_t blocksFromSource() const { return fetched; }

private:
  static constexpr size_t kSmallStep = 64, kSmallClasses = 16, kPerOctave = 8;
  static constexpr size_t kClasses = kSmallClasses + kPerOctave * 38;
  static constexpr uint32_t kIdleRuns = 8, kIdleRunsOfMuch = 2;

  struct Block;
  explicit BlockPool(c10::Allocator &source) : source(source) {}
  ~BlockPool() = default;

  static size_t classOf(size_t bytes);
  static size_t bytesOf(size_t sizeClass);
  static void giveBack(Block *block);
  Block *fetch(size_t sizeClass);
  void keep(Block *block);
  void dropIdle(uint32_t runs);
  void makeRoom(size_t bytes);
  void takeReturned();
  void giveBackList(Block *first);
  void dropReference();

  c10::Allocator &source;
  std::array<Block *, kClasses> freeBlocks{};
  size_t cached = 0;
  size_t inAll = 0; // bytes of blocks from the source
  // At once: by the last runs, fewer than kIdleRuns, and by the kIdleRuns before them.
  size_t mostUsed = 0, mostUsedBefore = 0;
  size_t fetched = 0;
  uint32_t run = 0;
  std::atomic<Block *> returned{nullptr}; // freed by other threads
  std::atomic<bool> closed{false};
  std::atomic<size_t> references{1}; // blocks in use, and the owner
};

} // namespace bifront
