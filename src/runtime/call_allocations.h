// Where the pieces of memory that one call of the graph allocates shall lie. An operator allocates
// the same pieces whenever it runs on the same sizes: so one run is watched, which shows the pieces
// that become results, and the next ones are led to their planned places, with what the operator
// needs only on its way in scratch memory that all calls share.
//
// Nothing depends on an operator's keeping to it. Where it does not, results are copied out of
// places that are not theirs, and what somebody still holds is never handed out again.
#pragma once

#include "runtime/graph_allocator.h"

#include <ATen/core/ivalue.h>

#include <algorithm>

namespace bifront {

// The scratch memory of a frame. It is free between any two calls.
class Scratch {
public:
  Scratch() = default;
  ~Scratch() { drop(); }
  Scratch(const Scratch &) = delete;

  // Some call will want as much.
  void reserve(int64_t bytes) { wanted = std::max(wanted, bytes); }
  // All that was reserved so far.
  Arena *get();
  bool contains(const void *pointer) const { return arena && arena->contains(pointer); }
  bool isLeased() const { return arena && arena->leased() != 0; }
  // What somebody holds of it lives on.
  void drop();

private:
  Arena *arena = nullptr;
  int64_t wanted = 0;
};

class CallAllocations {
public:
  // The call's results: slots, of which some have planned places that are free during the call.
  void plan(const Program &program, const CallStep &step);

  // The next time is the first to show what the operator allocates.
  bool isNew() const { return mode == Mode::Watch && lessons == 0; }

  // Around the operator, in a run with `arena` (or none, if places cannot be used).
  void begin(AllocationScope &scope, Arena *arena, Scratch &scratch);
  // Also takes results that nobody wants out of `results`. False: somebody keeps a place of the
  // arena that is no result's, so no more of it may be used in this run.
  bool end(AllocationScope &scope, Arena *arena, Scratch &scratch,
           std::vector<c10::IValue> &results);

private:
  enum class Mode : uint8_t { Watch, Follow, LetBe };
  struct Target { // of one result
    bool wanted = false;
    SlotId slot = kNoSlot;
    int64_t offset = -1, bytes = 0;
  };
  void learn(const std::vector<c10::IValue> &results, Scratch &scratch);
  bool isForScratch(const Allocation &piece) const {
    return mayUseScratch && piece.slot == kNoSlot && piece.bytes >= kScratchFrom;
  }
  void planScratch();
  bool check(Arena *arena, Scratch &scratch, std::vector<c10::IValue> &results);
  void watchAgain() { mode = ++lessons < kLessons ? Mode::Watch : Mode::LetBe; }

  // Smaller pieces stay in the pool, which is faster.
  static constexpr size_t kScratchFrom = 1 << 16;
  static constexpr uint8_t kLessons = 5;

  std::vector<Target> targets;
  std::vector<Allocation> pieces;
  int64_t scratchBytes = 0;
  bool mayUseScratch = true, following = false;
  Mode mode = Mode::Watch;
  uint8_t lessons = 0;
};

} // namespace bifront
