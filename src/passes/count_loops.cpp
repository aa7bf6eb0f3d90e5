#include "passes/count_loops.h"

#include "passes/region_values.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace bifront {

static bool computesInCondition(scf::WhileOp loop) {
  return !llvm::hasSingleElement(*loop.getBeforeBody());
}

// The condition's operands for the given carried values, computed where the builder is.
static SmallVector<Value> conditionFor(scf::WhileOp loop, ValueRange carried, OpBuilder &builder) {
  IRMapping map;
  map.map(loop.getBeforeArguments(), carried);
  for (Operation &op : loop.getBeforeBody()->without_terminator())
    builder.clone(op, map);
  SmallVector<Value> made;
  for (Value operand : loop.getConditionOp()->getOperands())
    made.push_back(map.lookupOrDefault(operand));
  return made;
}

static scf::WhileOp computeInBody(scf::WhileOp loop) {
  OpBuilder builder(loop);
  SmallVector<Value> inits = conditionFor(loop, loop.getInits(), builder);
  scf::YieldOp yield = loop.getYieldOp();
  builder.setInsertionPoint(yield);
  SmallVector<Value> next = conditionFor(loop, yield.getResults(), builder);
  yield->setOperands(next);
  builder.setInsertionPoint(loop);
  auto made = scf::WhileOp::create(builder, loop.getLoc(), loop.getResultTypes(), inits);
  made->setDiscardableAttrs(loop->getDiscardableAttrDictionary());
  Block *before = builder.createBlock(&made.getBefore());
  for (Value init : inits)
    before->addArgument(init.getType(), init.getLoc());
  scf::ConditionOp::create(builder, loop.getConditionOp().getLoc(), before->getArgument(0),
                           before->getArguments().drop_front());
  made.getAfter().takeBody(loop.getAfter());
  loop->replaceAllUsesWith(made->getResults());
  loop.erase();
  return made;
}

SmallVector<std::optional<unsigned>> carriedNumbers(scf::WhileOp loop) {
  SmallVector<std::optional<unsigned>> numbers;
  for (Value handedOn : loop.getConditionOp().getArgs()) {
    auto argument = dyn_cast<BlockArgument>(handedOn);
    bool isCarried = argument && argument.getOwner() == loop.getBeforeBody();
    numbers.push_back(isCarried ? std::optional(argument.getArgNumber()) : std::nullopt);
  }
  return numbers;
}

static bool isOneMore(Value next, Value count) {
  auto sum = next.getDefiningOp<arith::AddIOp>();
  return sum && ((sum.getLhs() == count && matchPattern(sum.getRhs(), m_One())) ||
                 (sum.getRhs() == count && matchPattern(sum.getLhs(), m_One())));
}

Value iterationsOf(scf::WhileOp loop) {
  for (auto [number, carried] : llvm::enumerate(carriedNumbers(loop))) {
    BlockArgument count = loop.getAfterArguments()[number];
    if (carried && count.getType().isInteger(64) &&
        matchPattern(loop.getInits()[*carried], m_Zero()) &&
        isOneMore(loop.getYieldOp()->getOperand(*carried), count))
      return loop.getResult(number);
  }
  return {};
}

static void count(scf::WhileOp loop) {
  OpBuilder builder(loop);
  Location loc = loop.getLoc();
  Type integer = builder.getI64Type();
  Value zero = arith::ConstantIntOp::create(builder, loc, integer, 0);
  loop->insertOperands(loop->getNumOperands(), zero);
  Value before = loop.getBeforeBody()->addArgument(integer, loc);
  Value after = loop.getAfterBody()->addArgument(integer, loc);
  Operation *condition = loop.getConditionOp();
  condition->insertOperands(condition->getNumOperands(), before);
  Operation *yield = loop.getYieldOp();
  builder.setInsertionPoint(yield);
  Value one = arith::ConstantIntOp::create(builder, loc, integer, 1);
  Value next = arith::AddIOp::create(builder, loc, after, one);
  yield->insertOperands(yield->getNumOperands(), next);
  makeResults(loop);
}

static void branch(arith::SelectOp choice) {
  OpBuilder builder(choice);
  Location loc = choice.getLoc();
  auto made = scf::IfOp::create(builder, loc, choice.getType(), choice.getCondition(),
                                /*addThenBlock=*/true, /*addElseBlock=*/true);
  builder.setInsertionPointToEnd(made.thenBlock());
  scf::YieldOp::create(builder, loc, choice.getTrueValue());
  builder.setInsertionPointToEnd(made.elseBlock());
  scf::YieldOp::create(builder, loc, choice.getFalseValue());
  choice.replaceAllUsesWith(made.getResult(0));
  choice.erase();
}

void countLoops(Operation *op) {
  SmallVector<arith::SelectOp> choices;
  SmallVector<scf::WhileOp> loops; // inner ones first
  op->walk([&](Operation *inner) {
    if (auto choice = dyn_cast<arith::SelectOp>(inner);
        choice && isa<RankedTensorType>(choice.getType()))
      choices.push_back(choice);
    if (auto loop = dyn_cast<scf::WhileOp>(inner))
      loops.push_back(loop);
  });
  llvm::for_each(choices, branch);
  for (scf::WhileOp loop : loops) {
    if (computesInCondition(loop))
      loop = computeInBody(loop);
    if (!iterationsOf(loop))
      count(loop);
  }
}

} // namespace bifront
