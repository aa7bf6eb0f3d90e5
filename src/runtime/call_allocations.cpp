#include "runtime/call_allocations.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

namespace bifront {
namespace {

const void *memoryOf(const c10::IValue &value) {
  bool hasMemory = value.isTensor() && value.toTensor().has_storage();
  return hasMemory ? value.toTensor().storage().data() : nullptr;
}

// A result that is written over an operand has that operand's place. What the operator allocates
// while it still reads must not get it.
bool liesInOperand(const Program &program, const CallStep &step, const TensorSlot &result) {
  return std::any_of(step.operands.begin(), step.operands.end(), [&](const OperandRef &operand) {
    if (operand.kind != OperandRef::Kind::Tensor)
      return false;
    const TensorSlot &slot = program.slots[operand.index];
    return slot.offset >= 0 && slot.offset < result.offset + result.bytes &&
           result.offset < slot.offset + slot.bytes;
  });
}

int64_t aligned(size_t bytes) {
  return static_cast<int64_t>((bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment);
}

} // namespace

Arena *Scratch::get() {
  if (!arena || arena->size() < wanted) {
    drop();
    arena = Arena::create(ordinaryAllocator(), wanted, {});
  }
  return arena;
}

void Scratch::drop() {
  if (arena)
    arena->release();
  arena = nullptr;
}

void CallAllocations::plan(const Program &program, const CallStep &step) {
  targets.resize(step.results.size());
  for (size_t k = 0; k < targets.size(); ++k) {
    const OperandRef &result = step.results[k];
    if (result.kind != OperandRef::Kind::Tensor || result.index == kNoSlot)
      continue;
    const TensorSlot &slot = program.slots[result.index];
    targets[k] = {.wanted = true, .slot = result.index};
    if (slot.offset >= 0 && slot.bytes > 0 && !liesInOperand(program, step, slot)) {
      targets[k].offset = slot.offset;
      targets[k].bytes = slot.bytes;
    }
  }
}

void CallAllocations::begin(AllocationScope &scope, Arena *arena, Scratch &scratch) {
  if (mode == Mode::Watch) {
    pieces.clear();
    scope.watch(&pieces);
  }
  // A place that somebody still holds from earlier in this run is not free.
  following =
      mode == Mode::Follow &&
      std::all_of(pieces.begin(), pieces.end(), [&](const Allocation &piece) {
        return piece.place != Allocation::Place::Arena || (arena && !arena->isLeased(piece.offset));
      });
  if (!following)
    return;
  if (scratchBytes > 0)
    scope.useScratch(scratch.get());
  scope.follow(pieces);
}

bool CallAllocations::end(AllocationScope &scope, Arena *arena, Scratch &scratch,
                          std::vector<c10::IValue> &results) {
  bool arenaIsOurs = true;
  if (mode == Mode::Watch) {
    scope.watch(nullptr);
    learn(results, scratch);
  } else if (following) {
    if (!scope.endFollowing())
      watchAgain();
    arenaIsOurs = check(arena, scratch, results);
  }
  return arenaIsOurs;
}

void CallAllocations::learn(const std::vector<c10::IValue> &results, Scratch &scratch) {
  for (size_t k = 0; k < std::min(results.size(), targets.size()); ++k) {
    const void *memory = memoryOf(results[k]);
    if (!memory || !targets[k].wanted)
      continue;
    // The last of that address: an earlier one was freed on the way.
    auto piece = std::find_if(pieces.rbegin(), pieces.rend(),
                              [&](const Allocation &made) { return made.at == memory; });
    if (piece == pieces.rend())
      continue;
    piece->slot = targets[k].slot;
    if (targets[k].offset >= 0 && static_cast<size_t>(targets[k].bytes) == piece->bytes) {
      piece->place = Allocation::Place::Arena;
      piece->offset = targets[k].offset;
    }
  }
  planScratch();
  scratch.reserve(scratchBytes);
  mode = Mode::Follow;
}

// Pieces that were seen at one address did not live at the same time, so they share their place.
void CallAllocations::planScratch() {
  std::map<const void *, size_t> largest;
  for (const Allocation &piece : pieces)
    if (isForScratch(piece))
      largest[piece.at] = std::max(largest[piece.at], piece.bytes);
  std::map<const void *, int64_t> offsets;
  scratchBytes = 0;
  for (auto [at, bytes] : largest) {
    offsets[at] = scratchBytes;
    scratchBytes += aligned(bytes);
  }
  for (Allocation &piece : pieces) {
    if (!isForScratch(piece))
      continue;
    piece.place = Allocation::Place::Scratch;
    piece.offset = offsets.at(piece.at);
  }
}

// A result may lie in the place of another one, or something that is no result may have stayed in a
// place: neither may remain when the place is used for others later.
bool CallAllocations::check(Arena *arena, Scratch &scratch, std::vector<c10::IValue> &results) {
  size_t count = std::min(results.size(), targets.size());
  for (size_t k = 0; k < count; ++k) {
    const void *memory = memoryOf(results[k]);
    if (!memory)
      continue;
    bool misplaced = scratch.contains(memory);
    for (const Allocation &piece : pieces)
      misplaced |= piece.place == Allocation::Place::Arena && arena->at(piece.offset) == memory &&
                   piece.slot != targets[k].slot;
    if (!targets[k].wanted) {
      results[k] = {};
    } else if (misplaced) {
      results[k] = at::clone(results[k].toTensor(), at::MemoryFormat::Preserve);
      watchAgain();
    }
  }
  if (scratch.isLeased()) {
    scratch.drop();
    mayUseScratch = false;
    watchAgain();
  }
  for (const Allocation &piece : pieces) {
    if (piece.place != Allocation::Place::Arena || !arena->isLeased(piece.offset))
      continue;
    const void *place = arena->at(piece.offset);
    bool arrived = std::any_of(results.begin(), results.begin() + count,
                               [&](const auto &result) { return memoryOf(result) == place; });
    if (!arrived) {
      mode = Mode::LetBe; // it would happen again
      return false;
    }
  }
  return true;
}

} // namespace bifront
