#include "passes/region_values.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/BitVector.h"

using namespace mlir;

namespace bifront {

static SmallVector<Value> sourcesOfArgument(BlockArgument argument) {
  auto loop = dyn_cast<scf::WhileOp>(argument.getOwner()->getParentOp());
  if (!loop)
    return {};
  unsigned number = argument.getArgNumber();
  if (argument.getOwner() == loop.getAfterBody())
    return {loop.getConditionOp().getArgs()[number]};
  return {loop.getInits()[number], loop.getYieldOp()->getOperand(number)};
}

SmallVector<Value> sourcesOf(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return sourcesOfArgument(argument);
  unsigned number = cast<OpResult>(value).getResultNumber();
  if (auto branch = value.getDefiningOp<scf::IfOp>())
    return {branch.thenYield()->getOperand(number), branch.elseYield()->getOperand(number)};
  if (auto loop = value.getDefiningOp<scf::WhileOp>())
    return {loop.getConditionOp().getArgs()[number]};
  if (auto choice = value.getDefiningOp<arith::SelectOp>())
    return {choice.getTrueValue(), choice.getFalseValue()};
  return {};
}

SmallVector<Value> receiversOf(OpOperand &use) {
  unsigned number = use.getOperandNumber();
  if (auto loop = dyn_cast<scf::WhileOp>(use.getOwner()))
    return {loop.getBeforeArguments()[number]};
  if (auto choice = dyn_cast<arith::SelectOp>(use.getOwner()); choice && number > 0)
    return {choice.getResult()};
  if (isa<scf::ConditionOp>(use.getOwner()) && number > 0) {
    auto loop = cast<scf::WhileOp>(use.getOwner()->getParentOp());
    return {loop.getAfterArguments()[number - 1], loop.getResult(number - 1)};
  }
  if (!isa<scf::YieldOp>(use.getOwner()))
    return {};
  if (auto branch = dyn_cast<scf::IfOp>(use.getOwner()->getParentOp()))
    return {branch.getResult(number)};
  if (auto loop = dyn_cast<scf::WhileOp>(use.getOwner()->getParentOp()))
    return {loop.getBeforeArguments()[number]};
  return {};
}

//===- More and fewer values ---------------------------------------------------------------===//

static void append(Operation *op, ValueRange values) {
  op->insertOperands(op->getNumOperands(), values);
}

// `made` has the results of `op` that are not dropped, first and in order.
static void replaceKept(Operation *op, Operation *made, const llvm::BitVector &dropped) {
  made->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  unsigned next = 0;
  for (OpResult result : op->getResults())
    if (!dropped.test(result.getResultNumber()))
      result.replaceAllUsesWith(made->getResult(next++));
  op->erase();
}

static scf::IfOp rebuild(scf::IfOp op, TypeRange types, const llvm::BitVector &dropped) {
  OpBuilder builder(op);
  auto made = scf::IfOp::create(builder, op.getLoc(), types, op.getCondition(), false, false);
  made.getThenRegion().takeBody(op.getThenRegion());
  made.getElseRegion().takeBody(op.getElseRegion());
  replaceKept(op, made, dropped);
  return made;
}

static scf::WhileOp rebuild(scf::WhileOp op, TypeRange types, ValueRange inits,
                            const llvm::BitVector &dropped) {
  OpBuilder builder(op);
  auto made = scf::WhileOp::create(builder, op.getLoc(), types, inits);
  made.getBefore().takeBody(op.getBefore());
  made.getAfter().takeBody(op.getAfter());
  replaceKept(op, made, dropped);
  return made;
}

void handOnToo(scf::IfOp op, ValueRange values) {
  if (values.empty())
    return;
  if (op.getElseRegion().empty()) {
    OpBuilder builder(op.getContext());
    builder.createBlock(&op.getElseRegion());
    scf::YieldOp::create(builder, op.getLoc());
  }
  append(op.thenYield(), values);
  append(op.elseYield(), values);
}

void handOnToo(scf::WhileOp op, ValueRange values) {
  for (Value value : values) {
    op.getBeforeBody()->addArgument(value.getType(), value.getLoc());
    op.getAfterBody()->addArgument(value.getType(), value.getLoc());
  }
  append(op, values);
  append(op.getConditionOp(), values);
  append(op.getYieldOp(), values);
}

scf::IfOp makeResults(scf::IfOp op) {
  TypeRange types = op.thenYield()->getOperandTypes();
  if (types.size() == op.getNumResults())
    return op;
  return rebuild(op, types, llvm::BitVector(op.getNumResults()));
}

scf::WhileOp makeResults(scf::WhileOp op) {
  TypeRange types = op.getConditionOp().getArgs().getTypes();
  if (types.size() == op.getNumResults())
    return op;
  return rebuild(op, types, op.getInits(), llvm::BitVector(op.getNumResults()));
}

static bool isUnusedTensor(Value value) {
  return isa<RankedTensorType>(value.getType()) && value.use_empty();
}

static SmallVector<Type> keptTypes(Operation *op, const llvm::BitVector &dropped) {
  SmallVector<Type> types;
  for (OpResult result : op->getResults())
    if (!dropped.test(result.getResultNumber()))
      types.push_back(result.getType());
  return types;
}

void dropUnusedTensors(scf::IfOp op) {
  llvm::BitVector dropped(op.getNumResults());
  for (OpResult result : op.getResults())
    if (isUnusedTensor(result))
      dropped.set(result.getResultNumber());
  if (dropped.none())
    return;
  op.thenYield()->eraseOperands(dropped);
  op.elseYield()->eraseOperands(dropped);
  rebuild(op, keptTypes(op, dropped), dropped);
}

void dropUnusedTensors(scf::WhileOp op) {
  llvm::BitVector results(op.getNumResults()), operands(op.getNumResults() + 1);
  for (auto [result, argument] : llvm::zip(op.getResults(), op.getAfterArguments()))
    if (isUnusedTensor(result) && argument.use_empty()) {
      results.set(argument.getArgNumber());
      operands.set(argument.getArgNumber() + 1);
    }
  op.getConditionOp()->eraseOperands(operands);
  op.getAfterBody()->eraseArguments(results);
  llvm::BitVector carried(op.getBeforeArguments().size());
  SmallVector<Value> inits;
  for (auto [argument, init] : llvm::zip(op.getBeforeArguments(), op.getInits())) {
    if (isUnusedTensor(argument))
      carried.set(argument.getArgNumber());
    else
      inits.push_back(init);
  }
  if (results.none() && carried.none())
    return;
  op.getYieldOp()->eraseOperands(carried);
  op.getBeforeBody()->eraseArguments(carried);
  rebuild(op, keptTypes(op, results), inits, results);
}

} // namespace bifront
