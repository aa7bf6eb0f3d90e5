#include "passes/autodiff_activity.h"

#include "ir/aten_op.h"
#include "ir/op_table.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
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
  auto reads = [&](mlir::Operation &reader) {
    return llvm::any_of(reader.getOperands(), [&](mlir::Value value) { return isActive(value); });
  };
  if (cutsHistory(op))
    return false;
  // A branch or a loop reads what the ops in it do.
  return reads(op) || (op.getNumRegions() != 0 && op.walk([&](mlir::Operation *inner) {
                                                      return reads(*inner)
                                                                 ? mlir::WalkResult::interrupt()
                                                                 : mlir::WalkResult::advance();
                                                    }).wasInterrupted());
}

Activity::Activity(mlir::ValueRange wrt, mlir::Operation *end) {
  active.insert(wrt.begin(), wrt.end());
  llvm::SmallVector<mlir::Operation *> ends;
  for (; !llvm::isa<mlir::func::FuncOp, mlir::ModuleOp>(end); end = end->getParentOp())
    ends.push_back(end);
  llvm::for_each(llvm::reverse(ends), [&](mlir::Operation *outer) { walk(outer); });
}

void Activity::walk(mlir::Operation *end) {
  auto addAll = [&](mlir::ValueRange values) {
    for (mlir::Value value : values)
      if (carriesGradient(value.getType()))
        active.insert(value);
  };
  mlir::Block *block = end->getBlock();
  auto function = llvm::dyn_cast<mlir::func::FuncOp>(block->getParentOp());
  if (!function || function.isPrivate())
    addAll(block->getArguments());
  for (mlir::Operation &op : llvm::make_range(block->begin(), end->getIterator()))
    if (flowsThrough(op))
      addAll(op.getResults());
}

} // namespace bifront
