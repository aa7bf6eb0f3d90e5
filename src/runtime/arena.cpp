#include "runtime/arena.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace bifront {
namespace {

thread_local Arena *currentArena = nullptr;

// All arenas by where they start. Looked into only for leases that return after their run.
struct Registry {
  std::mutex mutex;
  std::map<const char *, Arena *> arenas;
};

Registry &registry() {
  static auto *instance = new Registry; // tensors may be freed while the process ends
  return *instance;
}

} // namespace

Arena::Arena(c10::DataPtr memory, int64_t bytes, std::vector<int64_t> places)
    : memory(std::move(memory)), base(static_cast<char *>(this->memory.get())), bytes(bytes),
      offsets(std::move(places)) {
  std::sort(offsets.begin(), offsets.end());
  offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
  leases.reset(new std::atomic<uint32_t>[offsets.size() + 1] {});
}

Arena *Arena::create(c10::Allocator &source, int64_t bytes, std::vector<int64_t> offsets) {
  auto *arena = new Arena(source.allocate(bytes), bytes, std::move(offsets));
  std::lock_guard lock(registry().mutex);
  registry().arenas.emplace(arena->base, arena);
  return arena;
}

Arena *Arena::createOver(Arena *other, int64_t bytes, std::vector<int64_t> offsets) {
  if (other->bytes < bytes || other->references.load(std::memory_order_acquire) != 1)
    return nullptr;
  auto *arena = new Arena(std::move(other->memory), other->bytes, std::move(offsets));
  std::lock_guard lock(registry().mutex);
  registry().arenas[arena->base] = arena;
  delete other;
  return arena;
}

void Arena::release() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) != 1)
    return;
  {
    std::lock_guard lock(registry().mutex);
    registry().arenas.erase(base);
  }
  delete this;
}

Arena *Arena::exchangeCurrent(Arena *arena) {
  Arena *before = currentArena;
  currentArena = arena;
  return before;
}

std::atomic<uint32_t> &Arena::leasesAt(int64_t offset) const {
  auto found = std::lower_bound(offsets.begin(), offsets.end(), offset);
  bool isListed = found != offsets.end() && *found == offset;
  return leases[isListed ? found - offsets.begin() : offsets.size()];
}

bool Arena::isLeased(int64_t offset) const {
  return leasesAt(offset).load(std::memory_order_acquire) != 0;
}

c10::DataPtr Arena::lease(int64_t offset) {
  leasesAt(offset).fetch_add(1, std::memory_order_relaxed);
  outstanding.fetch_add(1, std::memory_order_relaxed);
  retain();
  char *place = base + offset;
  return {place, place, &Arena::returnLeaseOrDie, c10::Device(c10::DeviceType::CPU)};
}

void Arena::returnLease(int64_t offset) {
  leasesAt(offset).fetch_sub(1, std::memory_order_release);
  outstanding.fetch_sub(1, std::memory_order_release);
  release();
}

bool Arena::returnLeaseAt(void *place) {
  Arena *arena = currentArena;
  if (!arena || !arena->contains(place)) {
    std::lock_guard lock(registry().mutex);
    auto after = registry().arenas.upper_bound(static_cast<char *>(place));
    if (after == registry().arenas.begin())
      return false;
    arena = std::prev(after)->second;
    if (!arena->contains(place))
      return false;
  }
  // The lease itself keeps the arena alive until here.
  arena->returnLease(static_cast<char *>(place) - arena->base);
  return true;
}

void Arena::returnLeaseOrDie(void *place) { TORCH_INTERNAL_ASSERT(returnLeaseAt(place)); }

c10::DataPtr Arena::hold(int64_t offset) {
  retain();
  return {base + offset, this, &Arena::releaseHold, c10::Device(c10::DeviceType::CPU)};
}

void Arena::releaseHold(void *arena) { static_cast<Arena *>(arena)->release(); }

} // namespace bifront
