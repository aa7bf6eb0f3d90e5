// The memory of one frame's planned tensors, at offsets that codegen chose.
#pragma once

#include "runtime/program.h"

#include <c10/core/Allocator.h>

#include <atomic>
#include <memory>
#include <vector>

namespace bifront {

// Counted, because a tensor that lies in the arena may turn out to outlive the run or the executor:
// the memory then lives as long, and the frame goes on with a new arena (see `leased`).
class Arena {
public:
  // Memory whose leases at `offsets` are told apart.
  static Arena *create(c10::Allocator &source, int64_t bytes, std::vector<int64_t> offsets);
  // One over the memory of another, which is no more. Null where that is too small or its owner is
  // not the only one who has it.
  static Arena *createOver(Arena *other, int64_t bytes, std::vector<int64_t> offsets);
  void retain() { references.fetch_add(1, std::memory_order_relaxed); }
  void release();

  // Makes the arena (or none) the one whose leases this thread returns most, and gives back the one
  // that was before.
  static Arena *exchangeCurrent(Arena *arena);

  // Ownership of a place, for a storage that some operator makes. The context is the data pointer
  // itself, as the allocator's raw interface wants it.
  c10::DataPtr lease(int64_t offset);
  // Returns the lease of a place in some arena that lives; false where the pointer is no such
  // place.
  static bool returnLeaseAt(void *place);
  // Ownership for a header that the frame keeps over many runs; those do not count as leased.
  c10::DataPtr hold(int64_t offset);

  bool isLeased(int64_t offset) const;
  // Leases that have not been returned. Other than 0 between runs, somebody kept a tensor.
  size_t leased() const { return outstanding.load(std::memory_order_acquire); }
  char *at(int64_t offset) const { return base + offset; }
  int64_t size() const { return bytes; }
  bool contains(const void *pointer) const { return pointer >= base && pointer < base + bytes; }

private:
  Arena(c10::DataPtr memory, int64_t bytes, std::vector<int64_t> offsets);
  ~Arena() = default;
  std::atomic<uint32_t> &leasesAt(int64_t offset) const; // one for all but `offsets`
  void returnLease(int64_t offset);
  static void returnLeaseOrDie(void *place);
  static void releaseHold(void *arena);

  c10::DataPtr memory;
  char *base;
  int64_t bytes;
  std::vector<int64_t> offsets; // sorted
  std::unique_ptr<std::atomic<uint32_t>[]> leases;
  std::atomic<size_t> outstanding{0};
  std::atomic<size_t> references{1};
};

} // namespace bifront
