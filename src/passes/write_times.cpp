#include "passes/write_times.h"

using namespace mlir;

namespace bifront {

bool WriteTimes::mayShare(Value base, Value other) const {
  if (base == other)
    return true;
  // A tensor that was made behind the other's binding is none of those from before.
  if ((memory.isOneTensor(base) && boundAt.lookup(other) < boundAt.lookup(base)) ||
      (memory.isOneTensor(other) && boundAt.lookup(base) < boundAt.lookup(other)))
    return false;
  TensorMemory::Tensors origins = memory.originsOf(base);
  return llvm::any_of(memory.originsOf(other),
                      [&](Value origin) { return origins.contains(origin); });
}

void WriteTimes::note(Value origin, const Write &write) {
  for (Write &known : byOrigin[origin])
    if (known.base == write.base) {
      if (known.time < write.time)
        known = write;
      return;
    }
  byOrigin[origin].push_back(write);
}

void WriteTimes::write(Value base, Location at) {
  ++now;
  for (Value origin : memory.originsOf(base))
    note(origin, {base, now, at});
}

void WriteTimes::enterLoop(scf::WhileOp loop) {
  loop.walk([&](Operation *op) {
    for (Value tensor : memory.writtenBy(op)) {
      Value base = memory.baseOf(tensor);
      bool isInside = loop->isAncestor(base.getParentBlock()->getParentOp());
      // What the loop makes is nothing that there was before.
      if (isInside && memory.isOneTensor(base))
        continue;
      if (isInside)
        bind(base);
      write(base, op->getLoc());
    }
  });
}

std::optional<Location> WriteTimes::writtenElsewhere(Value base) const {
  for (Value origin : memory.originsOf(base)) {
    auto found = byOrigin.find(origin);
    if (found == byOrigin.end())
      continue;
    for (const Write &write : found->second)
      if (write.base != base && write.time > boundAt.lookup(base) && mayShare(base, write.base))
        return write.at;
  }
  return std::nullopt;
}

void WriteTimes::addWrites(const Writes &more) {
  for (auto &[origin, writes] : more)
    for (const Write &write : writes)
      note(origin, write);
}

} // namespace bifront
