#include "passes/separate_results.h"

#include "ir/aten_op.h"
#include "passes/escapes.h"
#include "passes/tensor_memory.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace bifront {

namespace {

// The tensors whose memory one may turn out to lie in, on one path or another.
SmallVector<Value> ownersOf(Value tensor, const TensorMemory &memory) {
  SmallVector<Value> work{tensor}, found;
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value value = viewedValue(work.pop_back_val());
    if (!seen.insert(value).second)
      continue;
    for (Value origin : memory.originsOf(value))
      (origin == value ? found : work).push_back(origin);
  }
  return found;
}

// What was on a tape anybody may have.
bool isAnyUnknown(ArrayRef<Value> owners) {
  return llvm::any_of(
      owners, [](Value owner) { return isa_and_nonnull<bf::PopOp>(owner.getDefiningOp()); });
}

class ResultSeparator {
public:
  ResultSeparator(func::FuncOp function, const TensorMemory &memory)
      : memory(memory), builder(function.getContext()) {
    for (BlockArgument argument : function.getArguments()) {
      objectOf[argument] = argument.getArgNumber();
      storageOf[argument] = argument.getArgNumber();
    }
  }

  void visit(Operation *op, OpOperand &operand, int32_t object, int32_t storage) {
    builder.setInsertionPoint(op);
    Value value = operand.get();
    if (!isa<RankedTensorType>(value.getType()) || object == kUnknownTensor)
      return;
    AtenArg first{AtenArg::Operand{0}}, none{AtenArg::None{}};
    if (!takeMemory(value, storage)) {
      // One clone for each tensor, however often it is returned.
      Value &copy = copies[{value, object}];
      if (!copy)
        copy =
            createAten(builder, op->getLoc(), "aten::clone", {first, none}, value, value.getType())
                .getResult(0);
      operand.set(copy);
    } else if (objectOf.try_emplace(value, object).first->second != object) {
      Value &copy = copies[{value, object}];
      if (!copy)
        copy = createAten(builder, op->getLoc(), "aten::alias", {first}, value, value.getType())
                   .getResult(0);
      operand.set(copy);
    }
  }

private:
  // Whether all memory that the value may lie in is, or becomes, that of number `storage`.
  bool takeMemory(Value value, int32_t storage) {
    SmallVector<Value> owners = ownersOf(value, memory);
    auto isOthers = [&](Value owner) {
      auto known = storageOf.find(owner);
      return known != storageOf.end() && known->second != storage;
    };
    if (isAnyUnknown(owners) || llvm::any_of(owners, isOthers))
      return false;
    for (Value owner : owners)
      storageOf[owner] = storage;
    return true;
  }

  const TensorMemory &memory;
  OpBuilder builder;
  DenseMap<Value, int32_t> objectOf, storageOf;
  DenseMap<std::pair<Value, int32_t>, Value> copies;
};

// Of the clones that keep tensors apart, finds those of what leaves the graph in no other way.
class OwnTensors {
public:
  OwnTensors(func::FuncOp function, const TensorMemory &memory)
      : function(function), memory(memory) {
    taken.insert(function.getArguments().begin(), function.getArguments().end());
  }

  void findNeedlessClones(ArrayRef<bf::AtenOp> clones, SmallVectorImpl<bf::AtenOp> &needless) {
    function.walk([&](Operation *op) {
      if (isa<func::ReturnOp, bf::StoreAttrOp, bf::PushOp>(op))
        for (Value operand : op->getOperands())
          if (isa<RankedTensorType>(operand.getType()))
            take(operand);
    });
    for (bf::AtenOp clone : clones) {
      Value source = clone.getInputs()[0];
      if (source.getType() == clone.getResult(0).getType() && take(source))
        needless.push_back(clone);
    }
  }

private:
  // Whether nobody else had any of the memory that the tensor may lie in.
  bool take(Value tensor) {
    SmallVector<Value> owners = ownersOf(tensor, memory);
    bool isFree = !isAnyUnknown(owners);
    for (Value owner : owners)
      isFree &= taken.insert(owner).second;
    return isFree;
  }

  func::FuncOp function;
  const TensorMemory &memory;
  llvm::DenseSet<Value> taken;
};

void dropNeedlessClones(ModuleOp module) {
  llvm::MapVector<Operation *, SmallVector<bf::AtenOp>> clones; // by function
  module.walk([&](bf::AtenOp call) {
    if (call->removeAttr(kOwnAttr))
      clones[call->getParentOfType<func::FuncOp>()].push_back(call);
  });
  if (clones.empty())
    return;
  TensorMemory memory(module);
  SmallVector<bf::AtenOp> needless;
  for (auto &[function, own] : clones)
    OwnTensors(cast<func::FuncOp>(function), memory).findNeedlessClones(own, needless);
  for (bf::AtenOp clone : needless) {
    clone.getResult(0).replaceAllUsesWith(clone.getInputs()[0]);
    clone.erase();
  }
}

class SeparateResultsPass : public PassWrapper<SeparateResultsPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SeparateResultsPass)
  StringRef getArgument() const final { return "bf-separate-results"; }
  StringRef getDescription() const final {
    return "Give different tensors that are returned values of their own";
  }
  void runOnOperation() final { separateResults(getOperation()); }
};

} // namespace

static void changeNumbers(Operation *end,
                          llvm::function_ref<void(SmallVectorImpl<int32_t> &)> change) {
  for (const char *name : {kObjectsAttr, kStoragesAttr})
    if (auto attribute = end->getAttrOfType<DenseI32ArrayAttr>(name)) {
      SmallVector<int32_t> numbers(attribute.asArrayRef());
      change(numbers);
      end->setAttr(name, DenseI32ArrayAttr::get(end->getContext(), numbers));
    }
}

// Numbers of tensors that are made inside start behind those of the arguments.
void renumberForArguments(Operation *end, unsigned first, unsigned count) {
  changeNumbers(end, [&](SmallVectorImpl<int32_t> &numbers) {
    for (int32_t &tensor : numbers)
      if (tensor >= int32_t(first))
        tensor += int32_t(count);
  });
}

void numberMoreResults(Operation *end, unsigned count) {
  changeNumbers(end,
                [&](SmallVectorImpl<int32_t> &numbers) { numbers.append(count, kUnknownTensor); });
}

void separateResults(ModuleOp module) {
  dropNeedlessClones(module);
  TensorMemory memory(module);
  for (auto function : module.getOps<func::FuncOp>()) {
    ResultSeparator separator(function, memory);
    SmallVector<Operation *> ends;
    function.walk([&](Operation *op) {
      if (op->hasAttr(kObjectsAttr) && op->hasAttr(kStoragesAttr))
        ends.push_back(op);
    });
    for (Operation *op : ends) {
      auto objects = op->getAttrOfType<DenseI32ArrayAttr>(kObjectsAttr);
      auto storages = op->getAttrOfType<DenseI32ArrayAttr>(kStoragesAttr);
      unsigned first = isa<bf::StoreAttrOp>(op) ? 1 : 0;
      unsigned count = op->getNumOperands() - first;
      if (!objects || !storages || objects.size() != count || storages.size() != count)
        continue;
      for (unsigned i = 0; i < count; ++i)
        separator.visit(op, op->getOpOperand(first + i), objects[i], storages[i]);
    }
  }
}

std::unique_ptr<Pass> createSeparateResultsPass() {
  return std::make_unique<SeparateResultsPass>();
}

} // namespace bifront
