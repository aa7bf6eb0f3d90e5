#include "passes/autodiff_activity.h"

#include "ir/aten_op.h"

#include "mlir/IR/BuiltinTypes.h"

namespace bifront {

bool carriesGradient(mlir::Type type) {
  auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
  return tensor && llvm::isa<mlir::FloatType, mlir::ComplexType>(tensor.getElementType());
}

// Ops that autograd treats as the end of history. Everything else without a derivative
// (comparisons, zeros_like, ...) is known to the derivative source.
static bool cutsHistory(mlir::Operation &op) {
  auto aten = llvm::dyn_cast<bf::AtenOp>(op);
  if (!aten)
    return false;
  llvm::StringRef schema = aten.getSchema();
  return aten.getNoGrad() || schema == "aten::detach" || schema == "aten::detach_" ||
         schema == "aten::detach_copy";
}

bool Activity::flowsThrough(mlir::Operation &op) const {
  return !cutsHistory(op) &&
         llvm::any_of(op.getOperands(), [&](mlir::Value operand) { return isActive(operand); });
}

Activity::Activity(mlir::ValueRange wrt, mlir::Operation *end) {
  active.insert(wrt.begin(), wrt.end());
  for (mlir::Operation &op : llvm::make_range(end->getBlock()->begin(), end->getIterator())) {
    if (!flowsThrough(op))
      continue;
    for (mlir::Value result : op.getResults())
      if (carriesGradient(result.getType()))
        active.insert(result);
  }
}

} // namespace bifront
