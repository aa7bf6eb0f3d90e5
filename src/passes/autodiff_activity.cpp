#include "passes/autodiff_activity.h"

#include "ir/aten_op.h"
#include "ir/op_table.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringSet.h"

namespace bifront {

bool carriesGradient(mlir::Type type) {
  auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
  return tensor && llvm::isa<mlir::FloatType, mlir::ComplexType>(tensor.getElementType());
}

// Draws that do not depend on the tensor they fill, and samples, which have no derivative.
static bool drawsFreely(llvm::StringRef schema) {
  static const llvm::StringSet<> draws = {
      "bernoulli",   "uniform",     "normal",    "normal_functional", "random",
      "exponential", "geometric",   "cauchy",    "log_normal",        "poisson",
      "binomial",    "multinomial", "rand_like", "randn_like",        "randint_like"};
  llvm::StringRef name = schema.split('.').first;
  name.consume_front("aten::");
  name.consume_back("_");
  return opRow(schema).kind == OpKind::Random && draws.contains(name);
}

// Ops that autograd treats as the end of history. Everything else without a derivative
// (comparisons, zeros_like, ...) is known to the derivative source.
static bool cutsHistory(mlir::Operation &op) {
  auto aten = llvm::dyn_cast<bf::AtenOp>(op);
  if (!aten)
    return false;
  llvm::StringRef schema = aten.getSchema();
  return aten.getNoGrad() || schema == "aten::detach" || schema == "aten::detach_" ||
         schema == "aten::detach_copy" || opRow(schema).kind == OpKind::Factory ||
         drawsFreely(schema);
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
