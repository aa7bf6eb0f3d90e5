#include "codegen/plan_memory.h"

#include "codegen/pack_arena.h"

#include <algorithm>
#include <limits>

namespace bifront {
namespace {

constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();

class MemoryPlanner {
public:
  MemoryPlanner(const std::vector<MemorySlot> &slots, const std::vector<MemoryStep> &steps)
      : slots(slots), steps(steps) {}

  MemoryPlan plan() {
    findLifetimes();
    findGroups();
    grantOverwrites();
    placeInArena();
    listReleases();
    return std::move(result);
  }

private:
  SlotId groupOf(SlotId slot) {
    while (parent[slot] != slot)
      slot = parent[slot] = parent[parent[slot]];
    return slot;
  }
  void join(SlotId a, SlotId b);
  void findLifetimes();
  void findGroups();
  void grantOverwrites();
  bool mayOverwrite(uint32_t step, const Overwrite &overwrite);
  bool mayBecomeInput(uint32_t step, const Overwrite &overwrite);
  void placeInArena();
  void listReleases();

  const std::vector<MemorySlot> &slots;
  const std::vector<MemoryStep> &steps;
  std::vector<uint32_t> madeBy, lastUse, releasedBy; // per slot: a step, or kNever
  std::vector<SlotId> parent;
  std::vector<std::vector<SlotId>> members; // per group
  std::vector<SlotId> overwritten;          // per slot: what it is written over, or kNoSlot
  uint32_t lastFailing = kNever;            // the last step that may fail
  MemoryPlan result;
};

void MemoryPlanner::findLifetimes() {
  madeBy.assign(slots.size(), 0);
  lastUse.assign(slots.size(), 0);
  releasedBy.assign(slots.size(), kNever);
  for (uint32_t step = 0; step < steps.size(); ++step) {
    for (SlotId slot : steps[step].reads)
      lastUse[slot] = step;
    for (SlotId slot : steps[step].results)
      madeBy[slot] = lastUse[slot] = step;
  }
  for (SlotId slot = 0; slot < slots.size(); ++slot)
    if (slots[slot].leaves)
      lastUse[slot] = kNever;
  std::vector<uint32_t> nextRelease(steps.size() + 1, kNever);
  for (uint32_t step = steps.size(); step-- > 0;)
    nextRelease[step] = steps[step].releases ? step : nextRelease[step + 1];
  for (SlotId slot = 0; slot < slots.size(); ++slot)
    if (!slots[slot].input && lastUse[slot] != kNever)
      releasedBy[slot] = nextRelease[lastUse[slot]];
}

void MemoryPlanner::join(SlotId a, SlotId b) {
  a = groupOf(a), b = groupOf(b);
  if (a == b)
    return;
  if (members[a].size() < members[b].size())
    std::swap(a, b);
  parent[b] = a;
  members[a].insert(members[a].end(), members[b].begin(), members[b].end());
  members[b].clear();
}

void MemoryPlanner::findGroups() {
  parent.resize(slots.size());
  members.resize(slots.size());
  for (SlotId slot = 0; slot < slots.size(); ++slot) {
    parent[slot] = slot;
    members[slot] = {slot};
  }
  for (const MemoryStep &step : steps)
    for (auto [a, b] : step.shares)
      join(a, b);
}

// The old contents are needed by nobody behind the step, nor by the step itself under another name.
bool MemoryPlanner::mayOverwrite(uint32_t step, const Overwrite &overwrite) {
  SlotId dying = overwrite.dying, made = overwrite.result;
  if (slots[dying].input || !slots[made].fresh || lastUse[dying] != step ||
      releasedBy[dying] != step)
    return false;
  if (slots[dying].handedOn && overwrite.checked)
    return true;
  if (!slots[dying].fresh)
    return false;
  for (SlotId other : members[groupOf(dying)])
    if (slots[other].input || slots[other].leaves ||
        (other != dying && (releasedBy[other] == kNever || releasedBy[other] >= step)))
      return false;
  for (SlotId other : members[groupOf(made)])
    if (slots[other].leaves)
      return false;
  return true;
}

bool MemoryPlanner::mayBecomeInput(uint32_t step, const Overwrite &overwrite) {
  SlotId input = overwrite.dying, made = overwrite.result;
  bool failsLater = lastFailing != kNever && lastFailing >= step;
  if (failsLater || !slots[input].input || lastUse[input] > step)
    return false;
  for (SlotId other : members[groupOf(input)])
    if (other != input && (slots[other].input || lastUse[other] >= step))
      return false;
  for (SlotId other : members[groupOf(made)])
    if (slots[other].input || (slots[other].leaves && slots[other].leavesIn != input))
      return false;
  return true;
}

void MemoryPlanner::grantOverwrites() {
  overwritten.assign(slots.size(), kNoSlot);
  for (uint32_t step = 0; step < steps.size(); ++step)
    if (steps[step].mayFail)
      lastFailing = step;
  result.granted.resize(steps.size());
  for (uint32_t step = 0; step < steps.size(); ++step) {
    std::vector<SlotId> taken;
    for (const Overwrite &overwrite : steps[step].overwrites) {
      bool free = std::find(taken.begin(), taken.end(), overwrite.dying) == taken.end();
      if (!free || overwritten[overwrite.result] != kNoSlot)
        continue;
      if (overwrite.becomesInput ? !mayBecomeInput(step, overwrite)
                                 : !mayOverwrite(step, overwrite))
        continue;
      taken.push_back(overwrite.dying);
      overwritten[overwrite.result] = overwrite.dying;
      result.granted[step].push_back(overwrite);
      join(overwrite.dying, overwrite.result);
    }
  }
}

// Of a group of which some value leaves, any may own the memory.
void MemoryPlanner::placeInArena() {
  result.offsets.assign(slots.size(), -1);
  std::vector<ArenaBlock> blocks;
  std::vector<SlotId> owners;
  for (SlotId slot = 0; slot < slots.size(); ++slot) {
    const std::vector<SlotId> &group = members[groupOf(slot)];
    bool isPlanned = slots[slot].fresh && slots[slot].bytes > 0 && overwritten[slot] == kNoSlot &&
                     std::none_of(group.begin(), group.end(), [&](SlotId other) {
                       return slots[other].input || slots[other].leaves || slots[other].carried ||
                              slots[other].tape;
                     });
    if (!isPlanned)
      continue;
    uint32_t end = 0;
    for (SlotId other : group)
      end = std::max(end, releasedBy[other]);
    blocks.push_back({slots[slot].bytes, madeBy[slot], end});
    owners.push_back(slot);
  }
  ArenaLayout layout = packArena(blocks);
  result.arenaBytes = layout.bytes;
  for (size_t i = 0; i < owners.size(); ++i)
    result.offsets[owners[i]] = layout.offsets[i];
  // In the order of the steps, so that chains resolve.
  for (const std::vector<Overwrite> &granted : result.granted)
    for (const Overwrite &overwrite : granted)
      result.offsets[overwrite.result] = result.offsets[overwrite.dying];
}

void MemoryPlanner::listReleases() {
  result.release.resize(steps.size());
  for (SlotId slot = 0; slot < slots.size(); ++slot)
    if (releasedBy[slot] != kNever)
      result.release[releasedBy[slot]].push_back(slot);
}

} // namespace

MemoryPlan planMemory(const std::vector<MemorySlot> &slots, const std::vector<MemoryStep> &steps) {
  return MemoryPlanner(slots, steps).plan();
}

} // namespace bifront
