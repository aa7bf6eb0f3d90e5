#include "passes/sum_products.h"

#include "ir/aten_op.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace bifront {
namespace {

// Made here for nothing but the sum: its memory is there to be taken.
bool isProduct(Value value, Block *block) {
  auto product = value.getDefiningOp<bf::AtenOp>();
  return product && product.getSchema() == "aten::mm" && product->hasOneUse() &&
         product->getBlock() == block;
}

// What begins or goes on with a sum, and ends in it.
bool isSum(Value value, Block *block) {
  if (!value.hasOneUse() || value.getParentBlock() != block)
    return false;
  if (isa<BlockArgument>(value))
    return !isa<func::FuncOp>(block->getParentOp()) ||
           cast<func::FuncOp>(block->getParentOp()).isPrivate(); // no input of the graph
  auto made = value.getDefiningOp<bf::AtenOp>();
  return made && (made.getSchema() == "aten::zeros" || made.getSchema() == "aten::addmm_" ||
                  isProduct(value, block));
}

void addInPlace(bf::AtenOp add) {
  if (add.getInputs().size() != 2)
    return;
  AtenArgs args(add);
  auto *factor = std::get_if<int64_t>(&args.at(2).value);
  if (!factor || *factor != 1)
    return;
  Type type = add.getType(0);
  for (bool swapped : {false, true}) {
    Value sum = add.getInputs()[swapped], product = add.getInputs()[!swapped];
    if (sum.getType() != type || product.getType() != type || !isSum(sum, add->getBlock()) ||
        !isProduct(product, add->getBlock()))
      continue;
    auto made = product.getDefiningOp<bf::AtenOp>();
    OpBuilder builder(add);
    AtenArg operands[] = {{AtenArg::Operand{0}},
                          {AtenArg::Operand{1}},
                          {AtenArg::Operand{2}},
                          {int64_t{1}},
                          {int64_t{1}}};
    auto added = createAten(builder, made.getLoc(), "aten::addmm_", operands,
                            ValueRange{sum, made.getInputs()[0], made.getInputs()[1]},
                            TypeRange{type, type}, {0}, add.getNoGrad());
    add.getResult(0).replaceAllUsesWith(added.getResult(1));
    add.erase();
    made.erase();
    return;
  }
}

class SumProductsPass : public PassWrapper<SumProductsPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SumProductsPass)
  StringRef getArgument() const final { return "bf-sum-products"; }
  StringRef getDescription() const final { return "Products are added to sums in place"; }
  void runOnOperation() final { sumProducts(getOperation()); }
};

} // namespace

void sumProducts(ModuleOp module) {
  SmallVector<bf::AtenOp> adds;
  module.walk([&](bf::AtenOp op) {
    if (op.getSchema() == "aten::add.Tensor")
      adds.push_back(op);
  });
  for (bf::AtenOp add : adds)
    addInPlace(add);
}

std::unique_ptr<Pass> createSumProductsPass() { return std::make_unique<SumProductsPass>(); }

} // namespace bifront
