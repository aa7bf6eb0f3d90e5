// The memory plan against a simulated memory: random programs run on bytes that know whose contents
// they hold, and every read must find its own.
#include "codegen/pack_arena.h"
#include "codegen/plan_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>

using namespace bifront;

namespace {

struct TestProgram {
  std::vector<MemorySlot> slots;
  std::vector<MemoryStep> steps;
  std::map<uint32_t, std::pair<SlotId, SlotId>> stores; // step: value to input
  std::set<std::pair<SlotId, SlotId>> maySee;           // (view, viewed)
};

// Calls, kernels, views and maybe-views over values of a few sizes; some values leave, some are
// stored.
TestProgram randomProgram(std::mt19937 &random) {
  TestProgram program;
  auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
  unsigned inputs = 1 + random() % 4;
  for (unsigned i = 0; i < inputs; ++i)
    program.slots.push_back({static_cast<int64_t>(64 * (1 + random() % 3)), true});
  unsigned steps = 3 + random() % 25;
  for (unsigned i = 0; i < steps; ++i) {
    MemoryStep step;
    auto pick = [&] { return static_cast<SlotId>(random() % program.slots.size()); };
    unsigned reads = 1 + random() % 3;
    for (unsigned k = 0; k < reads; ++k)
      step.reads.push_back(chance(70) && program.slots.size() > 6
                               ? program.slots.size() - 1 - random() % 5
                               : pick());
    bool isView = chance(20), isKernel = !isView && chance(60);
    step.mayFail = !isKernel || chance(20);
    step.releases = chance(95);
    unsigned results = isView ? 1 : 1 + random() % 2;
    for (unsigned k = 0; k < results; ++k) {
      SlotId slot = program.slots.size();
      MemorySlot made;
      made.bytes = isView ? program.slots[step.reads[0]].bytes
                          : (chance(15) ? 0 : static_cast<int64_t>(64 * (1 + random() % 3)));
      made.fresh = !isView;
      program.slots.push_back(made);
      step.results.push_back(slot);
      if (isView) {
        step.shares.emplace_back(slot, step.reads[0]);
        program.maySee.insert({slot, step.reads[0]});
        continue;
      }
      for (SlotId read : step.reads)
        if (program.slots[read].bytes == made.bytes && made.bytes != 0)
          step.overwrites.push_back({read, slot});
    }
    program.steps.push_back(std::move(step));
  }
  // Stores at the end; the step that makes a value may be allowed to make it in the input's place.
  std::set<SlotId> targets;
  for (SlotId value = inputs; value < program.slots.size(); ++value) {
    SlotId input = random() % inputs;
    if (!chance(15) || program.slots[value].bytes != program.slots[input].bytes ||
        !targets.insert(input).second)
      continue;
    for (MemoryStep &step : program.steps)
      if (std::count(step.results.begin(), step.results.end(), value) &&
          std::count(step.reads.begin(), step.reads.end(), input) && program.slots[value].fresh)
        step.overwrites.insert(step.overwrites.begin(), {input, value, true});
    MemoryStep store;
    store.reads = {value};
    store.releases = store.mayFail = false;
    program.stores[program.steps.size()] = {value, input};
    program.steps.push_back(std::move(store));
  }
  for (SlotId value = inputs; value < program.slots.size(); ++value)
    program.slots[value].leaves = chance(8);
  return program;
}

// Where contents lie: in the arena at an offset, or in a piece of memory of its own.
struct Place {
  int64_t arena = -1;
  int own = -1;
  bool operator==(const Place &) const = default;
};

class Simulator {
public:
  Simulator(const TestProgram &program, const MemoryPlan &plan, std::mt19937 &random)
      : program(program), plan(plan), random(random), places(program.slots.size()),
        contents(program.slots.size(), -1), released(program.slots.size(), false) {}

  void run() {
    for (SlotId slot = 0; slot < program.slots.size(); ++slot)
      if (program.slots[slot].input)
        write(slot, newPlace());
    for (uint32_t step = 0; step < program.steps.size(); ++step) {
      runStep(step);
      for (SlotId slot : plan.release[step]) {
        ASSERT_FALSE(released[slot]);
        released[slot] = true;
      }
    }
    for (SlotId slot = 0; slot < program.slots.size(); ++slot)
      if (program.slots[slot].leaves) {
        read(slot, program.steps.size());
        ASSERT_EQ(places[slot].arena, -1) << "what leaves must not lie in the arena";
      }
    for (auto &[step, store] : program.stores) {
      ASSERT_EQ(inputContents[store.second], contents[store.first])
          << "an input has not become its value";
    }
  }

  int overwritten = 0;

private:
  Place newPlace() { return {-1, nextOwn++}; }

  std::vector<int> &cellsOf(SlotId slot, const Place &place, size_t &first, size_t &count) {
    count = std::max<int64_t>(1, program.slots[slot].bytes / 64);
    first = place.arena >= 0 ? place.arena / 64 : 0;
    std::vector<int> &cells = place.arena >= 0 ? arena : own[place.own];
    if (cells.size() < first + count)
      cells.resize(first + count, -1);
    return cells;
  }

  void write(SlotId slot, Place place) {
    places[slot] = place;
    contents[slot] = nextContents++;
    size_t first, count;
    std::vector<int> &cells = cellsOf(slot, place, first, count);
    std::fill_n(cells.begin() + first, count, contents[slot]);
    if (place.arena >= 0)
      ASSERT_LE(place.arena + program.slots[slot].bytes, plan.arenaBytes);
  }

  void read(SlotId slot, uint32_t step) {
    ASSERT_FALSE(released[slot]) << "slot " << slot << " is read by step " << step
                                 << " after its release";
    size_t first, count;
    std::vector<int> &cells = cellsOf(slot, places[slot], first, count);
    for (size_t i = 0; i < count; ++i)
      ASSERT_EQ(cells[first + i], contents[slot]) << "slot " << slot << " in step " << step;
  }

  void runStep(uint32_t number) {
    const MemoryStep &step = program.steps[number];
    for (SlotId slot : step.reads)
      read(slot, number);
    if (auto store = program.stores.find(number); store != program.stores.end()) {
      auto [value, input] = store->second;
      inputContents[input] = contents[value];
      return;
    }
    if (step.mayFail)
      ASSERT_FALSE(stateWritten) << "step " << number << " may fail after an input was overwritten";
    // First everything is read, then everything is written: elementwise kernels do it so.
    std::map<SlotId, Place> target;
    for (SlotId slot : step.results) {
      const Overwrite *granted = nullptr;
      for (const Overwrite &overwrite : plan.granted[number])
        if (overwrite.result == slot)
          granted = &overwrite;
      // The executor may find reasons not to.
      if (granted && random() % 4 != 0) {
        target[slot] = places[granted->dying];
        stateWritten = stateWritten || granted->becomesInput;
        ++overwritten;
      } else if (!program.slots[slot].fresh && random() % 3 != 0) {
        places[slot] = places[step.reads[0]]; // a view
        contents[slot] = contents[step.reads[0]];
      } else if (plan.offsets[slot] >= 0 && random() % 8 != 0 && !granted) {
        target[slot] = {plan.offsets[slot], -1};
      } else {
        target[slot] = newPlace();
      }
    }
    for (auto &[slot, place] : target)
      write(slot, place);
  }

  const TestProgram &program;
  const MemoryPlan &plan;
  std::mt19937 &random;
  std::vector<Place> places;
  std::vector<int> contents;
  std::vector<bool> released;
  std::vector<int> arena;
  std::map<int, std::vector<int>> own;
  std::map<SlotId, int> inputContents;
  int nextOwn = 0, nextContents = 0;
  bool stateWritten = false;
};

MemoryStep step(std::vector<SlotId> reads, std::vector<SlotId> results) {
  MemoryStep made;
  made.reads = std::move(reads);
  made.results = std::move(results);
  return made;
}

MemorySlot input(int64_t bytes) { return {bytes, true}; }
MemorySlot fresh(int64_t bytes) { return {bytes, false, true}; }

} // namespace

TEST(PlanMemory, RandomProgramsKeepTheirContents) {
  int overwritten = 0, becameInputs = 0;
  for (unsigned seed = 0; seed < 20000; ++seed) {
    std::mt19937 random(seed);
    TestProgram program = randomProgram(random);
    MemoryPlan plan = planMemory(program.slots, program.steps);
    for (const auto &granted : plan.granted)
      for (const Overwrite &overwrite : granted)
        becameInputs += overwrite.becomesInput;
    Simulator simulator(program, plan, random);
    simulator.run();
    overwritten += simulator.overwritten;
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed;
  }
  EXPECT_GT(overwritten, 1000) << "the programs show nothing";
  EXPECT_GT(becameInputs, 20) << "the programs show nothing";
}

TEST(PlanMemory, APlaceIsReusedAfterItsLastReader) {
  // t1 = f(t0); t2 = f(t1); t3 = f(t2), t3 leaves
  std::vector<MemorySlot> slots = {input(64), fresh(64), fresh(64), fresh(64), fresh(64)};
  slots[4].leaves = true;
  std::vector<MemoryStep> steps = {step({0}, {1}), step({1}, {2}), step({2}, {3}), step({3}, {4})};
  MemoryPlan plan = planMemory(slots, steps);
  EXPECT_EQ(plan.offsets, (std::vector<int64_t>{-1, 0, 64, 0, -1}));
  EXPECT_EQ(plan.arenaBytes, 128);
  EXPECT_EQ(plan.release[1], std::vector<SlotId>{1});
}

TEST(PlanMemory, AViewKeepsWhatItLooksAt) {
  std::vector<MemorySlot> slots = {input(64), fresh(64), {64}, fresh(64), fresh(64)};
  std::vector<MemoryStep> steps = {step({0}, {1}), step({1}, {2}), step({0}, {3}),
                                   step({2, 3}, {4})};
  steps[1].shares = {{2, 1}};
  steps[3].overwrites = {{2, 4}, {3, 4}};
  MemoryPlan plan = planMemory(slots, steps);
  EXPECT_NE(plan.offsets[3], plan.offsets[1]);
  EXPECT_EQ(plan.offsets[4], plan.offsets[3]) << "a view is not written over, its neighbour is";
}

// Step 0 makes a value, step 1 puts it on a tape, step 3 takes a value off it, long after the last
// reader that the plan sees.
TEST(PlanMemory, WhatIsOnATapeIsNotInTheArena) {
  std::vector<MemorySlot> slots(5);
  for (SlotId slot : {0, 3})
    slots[slot].bytes = 64, slots[slot].fresh = true;
  slots[1].tape = true;
  slots[2].bytes = slots[4].bytes = 64;
  slots[2].handedOn = true;
  std::vector<MemoryStep> steps(5);
  steps[0].results = {0, 1};
  steps[1].reads = {0, 1};
  steps[1].shares = {{1, 0}};
  steps[2].results = {3};
  steps[2].overwrites = {{0, 3}};
  steps[3].reads = {1, 3};
  steps[3].results = {2};
  steps[3].shares = {{1, 2}};
  steps[4].reads = {2};
  MemoryPlan plan = planMemory(slots, steps);
  EXPECT_EQ(plan.offsets[0], -1);
  EXPECT_EQ(plan.offsets[2], -1);
  EXPECT_GE(plan.offsets[3], 0);
  EXPECT_TRUE(plan.granted[2].empty());
}

TEST(PlanMemory, StateIsNotWrittenBeforeWhatMayFail) {
  std::vector<MemorySlot> slots = {input(64), fresh(64), fresh(64)};
  std::vector<MemoryStep> steps = {step({0}, {1}), step({1}, {2}), step({1}, {})};
  steps[0].overwrites = {{0, 1, true}};
  steps[0].mayFail = false;
  steps[2].releases = steps[2].mayFail = false;
  EXPECT_TRUE(planMemory(slots, steps).granted[0].empty());
  steps[1].mayFail = false;
  EXPECT_EQ(planMemory(slots, steps).granted[0].size(), 1u);
}

TEST(PlanMemory, WhatLeavesInAnInputMayBeMadeThere) {
  std::vector<MemorySlot> slots = {input(64), fresh(64), {64}};
  std::vector<MemoryStep> steps = {step({0}, {1}), step({1}, {2}), step({1}, {})};
  steps[0].overwrites = {{0, 1, true}};
  steps[1].shares = {{2, 1}};
  for (MemoryStep &each : steps)
    each.mayFail = false;
  slots[2].leaves = true;
  EXPECT_TRUE(planMemory(slots, steps).granted[0].empty());
  slots[2].leavesIn = 0;
  EXPECT_EQ(planMemory(slots, steps).granted[0].size(), 1u);
}

TEST(PackArena, BlocksThatLiveTogetherDoNotOverlap) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<ArenaBlock> blocks;
    for (int i = 0; i < 60; ++i) {
      uint32_t first = random() % 50;
      blocks.push_back({static_cast<int64_t>(1 + random() % 1000), first,
                        static_cast<uint32_t>(first + random() % 10)});
    }
    ArenaLayout layout = packArena(blocks);
    for (size_t a = 0; a < blocks.size(); ++a) {
      EXPECT_EQ(layout.offsets[a] % kArenaAlignment, 0);
      EXPECT_LE(layout.offsets[a] + blocks[a].bytes, layout.bytes);
      for (size_t b = 0; b < a; ++b) {
        bool together = blocks[a].first <= blocks[b].last && blocks[b].first <= blocks[a].last;
        bool apart = layout.offsets[a] + blocks[a].bytes <= layout.offsets[b] ||
                     layout.offsets[b] + blocks[b].bytes <= layout.offsets[a];
        EXPECT_TRUE(!together || apart);
      }
    }
  }
}
