#include "passes/separate_results.h"

#include "ir/aten_op.h"
#include "passes/escapes.h"
#include "passes/region_values.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bifront {

namespace {

// The values whose memory a tensor may turn out to lie in, on one path or another.
class Origins {
public:
  // What a function makes is another tensor for each call of the function at hand: those of calls
  // inside of such a call are not told apart.
  using Origin = std::pair<Value, Operation *>;

  explicit Origins(Value tensor) {
    work.push_back({tensor, nullptr});
    while (!work.empty()) {
      auto [value, call] = work.pop_back_val();
      visit(viewedValue(value), call);
    }
  }

  llvm::SmallVector<Origin> found;
  bool anyUnknown = false; // a tape's, which anybody may have

private:
  // A function, called within one call of the function at hand.
  struct Callee {
    llvm::SmallSetVector<Operation *, 4> callers;
    llvm::SmallSetVector<unsigned, 4> arguments; // that a tensor may be
  };

  void visit(Value value, Operation *call) {
    if (!seen.insert({value, call}).second)
      return;
    SmallVector<Value> sources = sourcesOf(value);
    auto argument = dyn_cast<BlockArgument>(value);
    if (!sources.empty()) {
      for (Value source : sources)
        work.push_back({source, call});
    } else if (auto inner = value.getDefiningOp<func::CallOp>()) {
      enter(inner, cast<OpResult>(value).getResultNumber(), call ? call : inner);
    } else if (call && argument && isa<func::FuncOp>(argument.getOwner()->getParentOp())) {
      leave(argument, call);
    } else {
      found.push_back({value, call});
      anyUnknown |= isa_and_nonnull<bf::PopOp>(value.getDefiningOp());
    }
  }

  void enter(func::CallOp inner, unsigned result, Operation *call) {
    auto function =
        SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(inner, inner.getCalleeAttr());
    work.push_back({function.front().getTerminator()->getOperand(result), call});
    Callee &callee = callees[{function, call}];
    if (callee.callers.insert(inner))
      for (unsigned number : callee.arguments)
        followOperand(inner, number, call);
  }

  void leave(BlockArgument argument, Operation *call) {
    Callee &callee = callees[{argument.getOwner()->getParentOp(), call}];
    if (callee.arguments.insert(argument.getArgNumber()))
      for (Operation *caller : callee.callers)
        followOperand(caller, argument.getArgNumber(), call);
  }

  void followOperand(Operation *caller, unsigned number, Operation *call) {
    work.push_back({caller->getOperand(number), caller == call ? nullptr : call});
  }

  SmallVector<Origin> work;
  llvm::DenseSet<Origin> seen;
  DenseMap<std::pair<Operation *, Operation *>, Callee> callees;
};

class ResultSeparator {
public:
  explicit ResultSeparator(func::FuncOp function) : builder(function.getContext()) {
    for (BlockArgument argument : function.getArguments()) {
      objectOf[argument] = argument.getArgNumber();
      storageOf[{argument, nullptr}] = argument.getArgNumber();
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
    Origins origins(value);
    auto isOthers = [&](const Origins::Origin &origin) {
      auto known = storageOf.find(origin);
      return known != storageOf.end() && known->second != storage;
    };
    if (origins.anyUnknown || llvm::any_of(origins.found, isOthers))
      return false;
    for (const Origins::Origin &origin : origins.found)
      storageOf[origin] = storage;
    return true;
  }

  OpBuilder builder;
  DenseMap<Value, int32_t> objectOf;
  DenseMap<Origins::Origin, int32_t> storageOf;
  DenseMap<std::pair<Value, int32_t>, Value> copies;
};

// Of the clones that keep tensors apart, those of what leaves the graph in no other way go.
class OwnTensors {
public:
  explicit OwnTensors(func::FuncOp function) : function(function) {
    for (BlockArgument argument : function.getArguments())
      taken.insert({argument, nullptr});
  }

  void dropNeedlessClones() {
    SmallVector<bf::AtenOp> clones;
    function.walk([&](Operation *op) {
      if (isa<func::ReturnOp, bf::StoreAttrOp, bf::PushOp>(op))
        for (Value operand : op->getOperands())
          if (isa<RankedTensorType>(operand.getType()))
            take(operand);
      if (auto call = dyn_cast<bf::AtenOp>(op); call && call->hasAttr(kOwnAttr))
        clones.push_back(call);
    });
    for (bf::AtenOp clone : clones) {
      clone->removeAttr(kOwnAttr);
      Value source = clone.getInputs()[0];
      if (source.getType() != clone.getResult(0).getType() || !take(source))
        continue;
      clone.getResult(0).replaceAllUsesWith(source);
      clone.erase();
    }
  }

private:
  // Whether nobody else had any of the memory that the tensor may lie in.
  bool take(Value tensor) {
    Origins origins(tensor);
    bool isFree = !origins.anyUnknown;
    for (const Origins::Origin &origin : origins.found)
      isFree &= taken.insert(origin).second;
    return isFree;
  }

  func::FuncOp function;
  llvm::DenseSet<Origins::Origin> taken;
};

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
  for (auto function : module.getOps<func::FuncOp>()) {
    OwnTensors(function).dropNeedlessClones();
    ResultSeparator separator(function);
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
