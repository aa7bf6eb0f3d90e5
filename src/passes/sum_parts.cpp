#include "passes/sum_parts.h"

#include "ir/aten_op.h"
#include "passes/count_loops.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace bifront {
namespace {

constexpr StringRef kAddSelected = "bifront::add_selected_", kAddSlice = "bifront::add_slice_";

bool isSum(bf::AtenOp op) {
  if (op.getSchema() != "aten::add.Tensor" || op.getInputs().size() != 2 ||
      op.getInputs()[0].getType() != op.getType(0) || op.getInputs()[1].getType() != op.getType(0))
    return false;
  return AtenArgs(op).intNamed("alpha") == 1; // of a float nothing is said
}

// What is added to zero, and to what that makes, is no negative zero: only a sum of two is.
class NegativeZeros {
public:
  bool mayBeIn(Value value) { return !isFree(value); }

private:
  bool isFree(Value value) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto loop = dyn_cast<scf::WhileOp>(argument.getOwner()->getParentOp());
      bool isOfBody = loop && argument.getOwner() == loop.getAfterBody();
      return isOfBody && isCarriedFree(loop, argument.getArgNumber());
    }
    if (auto loop = value.getDefiningOp<scf::WhileOp>())
      return isCarriedFree(loop, cast<OpResult>(value).getResultNumber());
    auto call = value.getDefiningOp<bf::AtenOp>();
    if (!call)
      return false;
    StringRef schema = call.getSchema();
    if (schema == "aten::zeros" || schema == "aten::zeros_like")
      return true;
    if (schema == kAddSelected || schema == kAddSlice)
      return value == call.getResult(1);
    return isSum(call) && (isFree(call.getInputs()[0]) || isFree(call.getInputs()[1]));
  }

  bool isCarriedFree(scf::WhileOp loop, unsigned number) {
    std::optional<unsigned> carried = carriedNumbers(loop)[number];
    if (!carried)
      return false;
    if (!assumed.insert({loop, number}).second)
      return true; // if it is when the loop begins and each iteration leaves it so
    bool isIt =
        isFree(loop.getInits()[*carried]) && isFree(loop.getYieldOp()->getOperand(*carried));
    assumed.erase({loop, number});
    return isIt;
  }

  llvm::DenseSet<std::pair<Operation *, unsigned>> assumed;
};

// Whose memory is there to be taken.
bool isSeenOnce(Value value, Block *block) {
  return value.hasOneUse() && value.getParentBlock() == block;
}

// The call that adds what `gradient` spreads out over zeros to the sum. Its arguments are those of
// `gradient` without the sizes.
Value addPart(bf::AtenOp gradient, Value sum, bf::AtenOp add) {
  AtenArgs args(gradient);
  std::vector<AtenArg> ours = {{AtenArg::Operand{0}}, {AtenArg::Operand{1}}};
  SmallVector<Value> inputs = {sum, args.valueAt(0)};
  for (size_t i = 2; i < args.size(); ++i) {
    Value operand = args.valueAt(i);
    ours.push_back(operand ? AtenArg{AtenArg::Operand{static_cast<uint32_t>(inputs.size())}}
                           : args.at(i));
    if (operand)
      inputs.push_back(operand);
  }
  OpBuilder builder(add);
  StringRef schema = gradient.getSchema() == "aten::select_backward" ? kAddSelected : kAddSlice;
  return createAten(builder, gradient.getLoc(), schema, ours, inputs,
                    TypeRange{sum.getType(), sum.getType()}, {0}, add.getNoGrad())
      .getResult(1);
}

// The gradient of a part, spread out over zeros for nothing but this sum.
bf::AtenOp spreadPart(Value value, Block *block) {
  auto gradient = value.getDefiningOp<bf::AtenOp>();
  bool isPart = gradient && (gradient.getSchema() == "aten::select_backward" ||
                             gradient.getSchema() == "aten::slice_backward");
  return isPart && isSeenOnce(value, block) ? gradient : bf::AtenOp();
}

// What the gradient can be added to; null where that is nothing to write to.
Value sumToWrite(Value sum, bf::AtenOp add) {
  if (!isSeenOnce(sum, add->getBlock()))
    return {};
  if (!NegativeZeros().mayBeIn(sum))
    return sum;
  auto type = cast<RankedTensorType>(sum.getType());
  bf::AtenOp first = spreadPart(sum, add->getBlock());
  if (!first || !type.hasStaticShape())
    return {};
  OpBuilder builder(add);
  Value whole = addPart(first, createZeros(builder, first.getLoc(), type), add);
  sum.replaceAllUsesWith(whole);
  first.erase();
  return whole;
}

void addInPlace(bf::AtenOp add) {
  for (bool swapped : {false, true}) {
    bf::AtenOp gradient = spreadPart(add.getInputs()[!swapped], add->getBlock());
    Value sum = gradient ? sumToWrite(add.getInputs()[swapped], add) : Value();
    if (!sum)
      continue;
    add.getResult(0).replaceAllUsesWith(addPart(gradient, sum, add));
    add.erase();
    gradient.erase();
    return;
  }
}

class SumPartsPass : public PassWrapper<SumPartsPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SumPartsPass)
  StringRef getArgument() const final { return "bf-sum-parts"; }
  StringRef getDescription() const final { return "Gradients of parts are added in place"; }
  void runOnOperation() final { sumParts(getOperation()); }
};

} // namespace

void sumParts(ModuleOp module) {
  SmallVector<bf::AtenOp> adds;
  module.walk([&](bf::AtenOp op) {
    if (isSum(op))
      adds.push_back(op);
  });
  for (bf::AtenOp add : adds)
    addInPlace(add);
}

std::unique_ptr<Pass> createSumPartsPass() { return std::make_unique<SumPartsPass>(); }

} // namespace bifront
