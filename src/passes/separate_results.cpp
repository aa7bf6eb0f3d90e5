#include "passes/separate_results.h"

#include "ir/aten_op.h"
#include "passes/escapes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace bifront {

namespace {

class ResultSeparator {
public:
  explicit ResultSeparator(func::FuncOp function) : builder(function.getContext()) {
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
    if (storageOf.try_emplace(viewedValue(value), storage).first->second != storage) {
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
  OpBuilder builder;
  DenseMap<Value, int32_t> objectOf, storageOf;
  DenseMap<std::pair<Value, int32_t>, Value> copies;
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
