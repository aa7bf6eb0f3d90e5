#include "passes/drop_unread.h"

#include "ir/aten_op.h"
#include "passes/functionalise.h"
#include "passes/tensor_memory.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

namespace bifront {
namespace {

// Whether the op itself, whatever is in its regions, does more than to compute its results and to
// write tensors.
bool hasOtherEffects(Operation *op) {
  if (isa<func::CallOp>(op))
    return true;
  auto interface = dyn_cast<MemoryEffectOpInterface>(op);
  if (!interface)
    return !op->hasTrait<OpTrait::HasRecursiveMemoryEffects>();
  SmallVector<MemoryEffects::EffectInstance> effects;
  interface.getEffects(effects);
  auto call = dyn_cast<bf::AtenOp>(op);
  bool writesTensors = call && !writtenOperands(call).empty();
  return llvm::any_of(effects, [&](const MemoryEffects::EffectInstance &effect) {
    bool isOfTensor = writesTensors && effect.getResource() == SideEffects::DefaultResource::get();
    return isa<MemoryEffects::Write>(effect.getEffect()) && !isOfTensor;
  });
}

// The ops of a function's body that what it returns follows from.
class ReadOps {
public:
  ReadOps(func::FuncOp function, const TensorMemory &memory)
      : body(function.front()), memory(memory) {
    for (BlockArgument argument : body.getArguments())
      if (auto alias =
              function.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), kAliasOfAttr))
        sameMemory[argument] = named(body.getArgument(alias.getInt()));
    findWriters();
  }

  bool contains(Operation *op) const { return found.contains(op); }

  void run() {
    pending.push_back(body.getTerminator());
    while (!pending.empty()) {
      Operation *op = pending.pop_back_val();
      if (found.insert(op).second)
        op->walk([&](Operation *inner) {
          for (Value value : inner->getOperands())
            read(value, op);
        });
    }
  }

private:
  void findWriters() {
    for (Operation &op : body.without_terminator())
      op.walk([&](Operation *inner) {
        if (hasOtherEffects(inner))
          pending.push_back(&op);
        for (Value tensor : memory.writtenBy(inner))
          for (Value origin : originsOf(tensor))
            writers[origin].push_back(&op);
      });
  }

  SmallVector<Value> originsOf(Value tensor) const {
    SmallVector<Value> origins;
    for (Value origin : memory.originsOf(memory.baseOf(tensor)))
      origins.push_back(named(origin));
    return origins;
  }

  // Of arguments that share memory, the first.
  Value named(Value origin) const {
    auto first = sameMemory.find(origin);
    return first == sameMemory.end() ? origin : first->second;
  }

  // What is written behind the last reader nobody reads.
  void read(Value value, Operation *reader) {
    if (Operation *op = value.getDefiningOp())
      pending.push_back(body.findAncestorOpInBlock(*op));
    if (!isa<RankedTensorType>(value.getType()))
      return;
    for (Value origin : originsOf(value))
      if (auto all = writers.find(origin); all != writers.end())
        for (Operation *writer : all->second)
          if (!reader->isBeforeInBlock(writer))
            pending.push_back(writer);
  }

  Block &body;
  const TensorMemory &memory;
  DenseMap<Value, Value> sameMemory;
  DenseMap<Value, SmallVector<Operation *>> writers;
  DenseSet<Operation *> found;
  SmallVector<Operation *> pending;
};

class DropUnreadPass : public PassWrapper<DropUnreadPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(DropUnreadPass)
  StringRef getArgument() const final { return "bf-drop-unread"; }
  StringRef getDescription() const final {
    return "Drop what the returned values of a recorded module do not depend on";
  }
  void runOnOperation() final { dropUnread(getOperation()); }
};

} // namespace

void dropUnread(ModuleOp module) {
  auto functions = module.getOps<func::FuncOp>();
  if (functions.empty())
    return;
  func::FuncOp function = *functions.begin();
  TensorMemory memory(module);
  ReadOps read(function, memory);
  read.run();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.front())))
    if (!read.contains(&op))
      op.erase();
}

std::unique_ptr<Pass> createDropUnreadPass() { return std::make_unique<DropUnreadPass>(); }

} // namespace bifront
