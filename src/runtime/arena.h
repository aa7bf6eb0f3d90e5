// The memory of one frame's planned tensors, at offsets that codegen chose.
#pragma once

#include "runtime/program.h"

#include <c10/core/Allocator.h>

#include <atomic>
#include <memory>

namespace bifront {

// Counted, because a tensor that lies in the arena may turn out to outlive the run or the executor:
// the memory then lives as long, and the frame goes on with a new arena (see `leased`).
class Arena {
public:
  // Memory for slots of a program, with room for one lease a slot.
  static Arena *create(c10::Allocator &source, int64_t bytes, size_t slots);
  void retain() { references.fetch_add(1, std::memory_order_relaxed); }
  void release();

  // Ownership of the slot's place, for a storage that some operator makes.
  c10::DataPtr lease(SlotId slot, int64_t offset);
  // The same for a header that the frame keeps over many runs; those do not count as leased.
  c10::DataPtr hold(int64_t offset);

  bool isLeased(SlotId slot) const {
    return leases[slot].live.load(std::memory_order_acquire) != 0;
  }
  // Leases that have not been returned. Other than 0 between runs, somebody kept a tensor.
  size_t leased() const { return outstanding.load(std::memory_order_acquire); }
  char *at(int64_t offset) const { return base + offset; }
  bool contains(const void *pointer) const { return pointer >= base && pointer < base + bytes; }

private:
  struct Lease {
    Arena *arena = nullptr;
    std::atomic<uint32_t> live{0};
  };
  Arena(c10::DataPtr memory, int64_t bytes, size_t slots);
  ~Arena() = default;
  static void returnLease(void *lease);
  static void releaseHold(void *arena);

  c10::DataPtr memory;
  char *base;
  int64_t bytes;
  std::unique_ptr<Lease[]> leases;
  std::atomic<size_t> outstanding{0};
  std::atomic<size_t> references{1};
};

} // namespace bifront
