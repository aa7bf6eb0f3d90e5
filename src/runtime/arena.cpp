#include "runtime/arena.h"

namespace bifront {

Arena::Arena(c10::DataPtr memory, int64_t bytes, size_t slots)
    : memory(std::move(memory)), base(static_cast<char *>(this->memory.get())), bytes(bytes),
      leases(new Lease[slots]) {
  for (size_t slot = 0; slot < slots; ++slot)
    leases[slot].arena = this;
}

Arena *Arena::create(c10::Allocator &source, int64_t bytes, size_t slots) {
  return new Arena(source.allocate(bytes), bytes, slots);
}

void Arena::release() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    delete this;
}

c10::DataPtr Arena::lease(SlotId slot, int64_t offset) {
  retain();
  outstanding.fetch_add(1, std::memory_order_relaxed);
  leases[slot].live.fetch_add(1, std::memory_order_relaxed);
  return {base + offset, &leases[slot], &Arena::returnLease, c10::Device(c10::DeviceType::CPU)};
}

void Arena::returnLease(void *context) {
  auto *lease = static_cast<Lease *>(context);
  Arena *arena = lease->arena;
  lease->live.fetch_sub(1, std::memory_order_release);
  arena->outstanding.fetch_sub(1, std::memory_order_release);
  arena->release();
}

c10::DataPtr Arena::hold(int64_t offset) {
  retain();
  return {base + offset, this, &Arena::releaseHold, c10::Device(c10::DeviceType::CPU)};
}

void Arena::releaseHold(void *arena) { static_cast<Arena *>(arena)->release(); }

} // namespace bifront
