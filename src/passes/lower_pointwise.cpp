#include "passes/lower_pointwise.h"

#include "passes/pointwise_emitter.h"

#include "mlir/IR/Builders.h"

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

// A kernel learns dynamic sizes from its operands: each must be a size of one of them.
bool sizesComeFromOperands(bf::AtenOp op, RankedTensorType result) {
  for (int64_t i = 0; i < result.getRank(); ++i) {
    if (!result.isDynamicDim(i))
      continue;
    bool found = false;
    for (Type type : op.getInputs().getTypes()) {
      auto operand = dyn_cast<RankedTensorType>(type);
      int64_t at = operand ? i - (result.getRank() - operand.getRank()) : -1;
      if (at < 0 || !operand.isDynamicDim(at))
        continue;
      // Without worlds a dimension of the only shape there is still is that shape's.
      found |= worldsOf(operand, at) ? worldsOf(operand, at) == worldsOf(result, i)
                                     : operand == result || op.getInputs().size() == 1;
    }
    if (!found)
      return false;
  }
  return true;
}

bool isCandidate(bf::AtenOp op) {
  if (op.getNumResults() != 1 || op.getWritten())
    return false;
  auto result = dyn_cast<RankedTensorType>(op.getResult(0).getType());
  if (!result || isa<ComplexType>(result.getElementType()))
    return false;
  for (Type type : op.getInputs().getTypes()) {
    if (auto tensor = dyn_cast<RankedTensorType>(type)) {
      if (isa<ComplexType>(tensor.getElementType()) || deviceOf(tensor) != deviceOf(result) ||
          tensor.getRank() > result.getRank())
        return false;
      // Must broadcast to the result (a reduction of the same name would not).
      int64_t shift = result.getRank() - tensor.getRank();
      for (int64_t i = 0; i < tensor.getRank(); ++i)
        if (tensor.getDimSize(i) != 1 && tensor.getDimSize(i) != result.getDimSize(i + shift))
          return false;
    } else if (!type.isInteger(64) && !type.isInteger(1) && !type.isF64()) {
      return false;
    }
  }
  return sizesComeFromOperands(op, result);
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
  if (!value) {
    group.erase();
    return;
  }
  bf::YieldOp::create(builder, op.getLoc(), value);
  dropUnreadOperands(group);
  op.getResult(0).replaceAllUsesWith(group.getResult(0));
  op.erase();
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
}

std::unique_ptr<Pass> createLowerPointwisePass() { return std::make_unique<LowerPointwisePass>(); }

} // namespace bifront
