// Where the tensors of a graph lie and when they die: pure data in, pure data out.
//
// Values that may share memory form groups. A place in the arena is reserved from the step that
// makes a value to the one that releases the last of its group; places of values that are never
// alive together may overlap. A result is written over an operand where that operand's group dies
// with the step, and over an input of the graph where the value is what the input becomes, nothing
// needs the old contents any more and nothing can fail after it. What an iteration was handed by
// the one before may be anything: there the step itself looks whether the memory is its own.
//
// Tested by unittests/codegen/plan_memory_test.cpp against a simulated memory.
#pragma once

#include "runtime/program.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace bifront {

// A result that a step could write where one of its operands lies. Both have the same type.
struct Overwrite {
  SlotId dying, result;
  bool becomesInput = false; // `dying` is an input of the graph, and a store makes it `result`
  // The step looks whether anybody else holds the memory, and then writes elsewhere.
  bool checked = false;
};

struct MemoryStep {
  std::vector<SlotId> reads;
  std::vector<SlotId> results;
  std::vector<std::pair<SlotId, SlotId>> shares; // may lie in the same memory
  std::vector<Overwrite> overwrites;             // a result's first that is legal is taken
  bool releases = true;                          // the step has a list of slots that die after it
  bool mayFail = true;
};

struct MemorySlot {
  int64_t bytes = 0;  // 0: not known before the run
  bool input = false; // its memory is the caller's
  bool fresh = false; // made by its step, dense, at a place of its own
  // Lives on when the graph has run, in memory of its own or, where `leavesIn` is a slot, in that
  // input's.
  bool leaves = false;
  SlotId leavesIn = kNoSlot;
  // Handed from one iteration of a loop to the next: the contents of one are read while those of
  // the next are made.
  bool carried = false;
  // A region's or a loop's name for a value that was made elsewhere.
  bool handedOn = false;
  // Holds tensors for as long as it likes: all that may share memory with it is out of the arena.
  bool tape = false;
};

struct MemoryPlan {
  std::vector<int64_t> offsets;                // per slot, or -1
  std::vector<std::vector<SlotId>> release;    // per step
  std::vector<std::vector<Overwrite>> granted; // per step
  int64_t arenaBytes = 0;
};

MemoryPlan planMemory(const std::vector<MemorySlot> &slots, const std::vector<MemoryStep> &steps);

} // namespace bifront
