#include "passes/lower_pointwise.h"

#include "ir/op_table.h"
#include "passes/pointwise_emitter.h"
#include "passes/separate_results.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;

namespace bifront {
namespace {

StringRef deviceOf(RankedTensorType type) {
  auto encoding = dyn_cast_or_null<bf::TensorEncodingAttr>(type.getEncoding());
  return encoding ? encoding.getDevice() : StringRef();
}

std::optional<std::pair<int64_t, int64_t>> worldsOf(RankedTensorType type, int64_t dim) {
  auto encoding = dyn_cast_or_null<bf::TensorEncodingAttr>(type.getEncoding());
  if (!encoding)
    return std::nullopt;
  unsigned index = type.getDynamicDimIndex(dim);
  return std::pair(encoding.getWorlds()[2 * index], encoding.getWorlds()[2 * index + 1]);
}

// A kernel learns dynamic sizes from its operands: each must be a size of one of them. All must
// broadcast to the result.
bool fitsOperands(bf::PointwiseOp op) {
  auto result = cast<RankedTensorType>(op.getResult(0).getType());
  llvm::SmallBitVector known(result.getRank());
  unsigned tensors = llvm::count_if(op.getInputs().getTypes(), llvm::IsaPred<RankedTensorType>);
  for (Type type : op.getInputs().getTypes()) {
    auto operand = dyn_cast<RankedTensorType>(type);
    if (!operand)
      continue;
    int64_t shift = result.getRank() - operand.getRank();
    if (shift < 0)
      return false;
    for (int64_t i = 0; i < operand.getRank(); ++i) {
      int64_t from = operand.getDimSize(i), to = result.getDimSize(i + shift);
      if (from != to && from != 1)
        return false;
      if (!ShapedType::isDynamic(from))
        continue;
      // Without worlds a dimension of the only operand there is still is the result's.
      bool same = worldsOf(operand, i) ? worldsOf(operand, i) == worldsOf(result, i + shift)
                                       : operand == result || tensors == 1;
      if (!same)
        return false;
      known.set(i + shift);
    }
  }
  for (int64_t i = 0; i < result.getRank(); ++i)
    if (result.isDynamicDim(i) && !known.test(i))
      return false;
  return true;
}

bool isCandidate(bf::AtenOp op) {
  if (op.getNumResults() != 1 || op.getWritten() || op->hasAttr(kOwnAttr))
    return false;
  auto result = dyn_cast<RankedTensorType>(op.getResult(0).getType());
  if (!result || isa<ComplexType>(result.getElementType()))
    return false;
  for (Type type : op.getInputs().getTypes()) {
    if (auto tensor = dyn_cast<RankedTensorType>(type)) {
      if (isa<ComplexType>(tensor.getElementType()) || deviceOf(tensor) != deviceOf(result))
        return false;
    } else if (!type.isInteger(64) && !type.isInteger(1) && !type.isF64()) {
      return false;
    }
  }
  return true;
}

// Operands that the body does not read go, unless a dynamic size comes from them.
void dropUnreadOperands(bf::PointwiseOp op) {
  if (!cast<RankedTensorType>(op.getResult(0).getType()).hasStaticShape())
    return;
  Block *body = op.getBodyBlock();
  for (unsigned i = body->getNumArguments(); i-- > 0;) {
    if (!body->getArgument(i).use_empty())
      continue;
    body->eraseArgument(i);
    op->eraseOperand(i);
  }
}

void lower(bf::AtenOp op, PointwiseEmission emission) {
  OpBuilder builder(op);
  auto group = bf::PointwiseOp::create(builder, op.getLoc(), op.getResultTypes(), op.getInputs());
  Block *body = builder.createBlock(&group.getBody());
  for (Value input : op.getInputs())
    body->addArgument(bf::bodyTypeOf(input.getType()), input.getLoc());
  PointwiseEmitter emitter(builder, op, body->getArguments());
  Value value = emission(emitter);
  if (value) {
    bf::YieldOp::create(builder, op.getLoc(), value);
    dropUnreadOperands(group);
  }
  if (!value || !fitsOperands(group)) {
    group.erase();
    return;
  }
  op.getResult(0).replaceAllUsesWith(group.getResult(0));
  op.erase();
}

// Whether the value may be what a group makes: what regions and functions hand on may.
bool mayBeGroup(Value value) {
  while (auto call = value.getDefiningOp<bf::AtenOp>()) {
    if (opRow(call.getSchema()).kind != OpKind::View)
      return false;
    value = call->getOperand(0);
  }
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument)
    return true;
  auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return !function || function.isPrivate();
}

// A group's result may lie otherwise in memory than the results of its ops did, which `view` would
// refuse.
void allowCopies(ModuleOp module) {
  module.walk([](bf::AtenOp op) {
    bool isView = op.getSchema() == "aten::view" || op.getSchema() == "aten::_unsafe_view";
    if (isView && mayBeGroup(op->getOperand(0)))
      op.setSchema("aten::reshape");
  });
}

class LowerPointwisePass : public PassWrapper<LowerPointwisePass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LowerPointwisePass)
  StringRef getArgument() const final { return "bf-lower-pointwise"; }
  StringRef getDescription() const final { return "Give pointwise ATen ops their body"; }
  void runOnOperation() final { lowerPointwise(getOperation()); }
};

} // namespace

void lowerPointwise(ModuleOp module) {
  SmallVector<std::pair<bf::AtenOp, PointwiseEmission>> found;
  module.walk([&](bf::AtenOp op) {
    PointwiseEmission emission = emissionFor(op.getSchema());
    if (emission && isCandidate(op))
      found.emplace_back(op, emission);
  });
  for (auto [op, emission] : found)
    lower(op, emission);
  allowCopies(module);
}

std::unique_ptr<Pass> createLowerPointwisePass() { return std::make_unique<LowerPointwisePass>(); }

} // namespace bifront
