#include "passes/separate_results.h"

#include "ir/aten_op.h"
#include "passes/escapes.h"
#include "passes/region_values.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace bifront {

namespace {

// The values whose memory a tensor may turn out to lie in, on one path or another.
class Origins {
public:
  // What a function makes is another tensor for each outermost call.
  using Origin = std::pair<Value, Operation *>;

  explicit Origins(Value tensor) { follow(tensor, nullptr); }

  llvm::SmallVector<Origin> found;
  bool anyUnknown = false; // a tape's, which anybody may have

private:
  void follow(Value tensor, Operation *call) {
    Value value = viewedValue(tensor);
    if (!seen.insert({value, call}).second)
      return;
    SmallVector<Value> sources = sourcesOf(value);
    for (Value source : sources)
      follow(source, call);
    if (!sources.empty())
      return;
    if (auto inner = value.getDefiningOp<func::CallOp>())
      followInto(inner, cast<OpResult>(value).getResultNumber(), call);
    else if (!call || !followArgument(value, call))
      found.push_back({value, call});
    anyUnknown |= isa_and_nonnull<bf::PopOp>(value.getDefiningOp());
  }

  void followInto(func::CallOp inner, unsigned result, Operation *call) {
    auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(inner, inner.getCalleeAttr());
    callers[callee].push_back(inner);
    follow(callee.getBody().front().getTerminator()->getOperand(result), call ? call : inner);
    // A function that calls itself has been followed, but not with this call's arguments.
    for (BlockArgument argument : callee.getArguments())
      if (seen.contains({argument, call ? call : inner}))
        followOperand(inner, argument.getArgNumber(), call);
  }

  // Of a function: what each call that came here hands it.
  bool followArgument(Value value, Operation *call) {
    auto argument = dyn_cast<BlockArgument>(value);
    auto callee = argument ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()) : nullptr;
    if (!callee)
      return false;
    for (func::CallOp caller : callers[callee])
      followOperand(caller, argument.getArgNumber(), call);
    return true;
  }

  void followOperand(func::CallOp caller, unsigned number, Operation *call) {
    follow(caller.getOperand(number), caller == call ? nullptr : call);
  }

  llvm::DenseSet<Origin> seen;
  DenseMap<Operation *, SmallVector<func::CallOp>> callers;
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
