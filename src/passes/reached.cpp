#include "passes/reached.h"

#include "ir/bf_dialect.h"
#include "passes/autodiff_flow.h"
#include "passes/region_values.h"
#include "passes/separate_results.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <deque>

using namespace mlir;

namespace bifront {
namespace {

// Whether the history of a tensor leads to one target.
class Flag {
public:
  static Flag never() { return {}; }
  static Flag always() { return Flag(true, {}); }
  static Flag of(Value value) { return Flag(false, value); }

  bool isNever() const { return !isAlways_ && !value; }
  bool isAlways() const { return isAlways_; }

  Value materialise(OpBuilder &builder, Location loc) const {
    return value ? value : arith::ConstantIntOp::create(builder, loc, isAlways_, 1);
  }
  static Flag either(Flag a, Flag b, OpBuilder &builder, Location loc) {
    if (a.isAlways() || b.isNever())
      return a;
    if (b.isAlways() || a.isNever() || a.value == b.value)
      return b;
    return of(arith::OrIOp::create(builder, loc, a.value, b.value));
  }

private:
  Flag() = default;
  Flag(bool isAlways, Value value) : isAlways_(isAlways), value(value) {}
  bool isAlways_ = false;
  Value value; // a bool of the graph
};

using Flags = SmallVector<Flag>; // one for each target; empty: all are never

// A function in the form that one kind of calls needs.
struct FlaggedFunction {
  func::FuncOp function;
  Selection dependent; // arguments with a history
  Selection wanted;    // results of which it is asked
};

// The expansion of one bf.reached.
class ReachedExpansion {
public:
  explicit ReachedExpansion(bf::ReachedOp op)
      : reached(op), numTargets(op.getWrt().size()), functions(op->getParentOfType<ModuleOp>()),
        flow(flowTo(op, op.getWrt(), op.getOutputs(), functions)) {}

  LogicalResult run();

private:
  void spread(Block &block, Operation *end, const GradientFlow &flow);
  void spread(Operation &op, const GradientFlow &flow);
  void spread(scf::IfOp op, const GradientFlow &flow);
  void spread(scf::WhileOp op, const GradientFlow &flow);
  void spread(arith::SelectOp op);
  void spread(func::CallOp op, const GradientFlow &flow);
  FlaggedFunction &flagged(func::FuncOp callee, const Selection &dependent,
                           const Selection &wanted);
  void makeBody(FlaggedFunction &made);

  const Flags &flagsOf(Value value) const {
    auto found = flags.find(value);
    return found == flags.end() ? none : found->second;
  }
  Flag flagOf(Value value, unsigned target) const {
    const Flags &known = flagsOf(value);
    return known.empty() ? Flag::never() : known[target];
  }
  void addTo(Flags &sum, Value value, OpBuilder &builder, Location loc) const;
  // Bools for all targets, made where the builder is.
  void appendFlags(SmallVectorImpl<Value> &values, Value of, OpBuilder &builder,
                   Location loc) const;
  Flags takeFlags(ValueRange &values) const;
  void set(Value value, Flags known) {
    if (llvm::any_of(known, [](Flag flag) { return !flag.isNever(); }))
      flags[value] = std::move(known);
  }

  bf::ReachedOp reached;
  unsigned numTargets;
  FunctionFlows functions;
  GradientFlow flow;
  DenseMap<Value, Flags> flags;
  Flags none;
  std::map<std::tuple<Operation *, Selection, Selection>, FlaggedFunction> forms;
  std::deque<FlaggedFunction *> declared;
};

void appendOperands(Operation *op, ValueRange values) {
  op->insertOperands(op->getNumOperands(), values);
}

LogicalResult ReachedExpansion::run() {
  Block *block = reached->getBlock();
  if (!isa<func::FuncOp>(block->getParentOp()))
    return reached.emitError("is asked in a branch or a loop");
  for (auto [number, target] : llvm::enumerate(reached.getWrt())) {
    Flags &known = flags[target];
    known.resize(numTargets, Flag::never());
    known[number] = Flag::always();
  }
  spread(*block, reached, flow);
  OpBuilder builder(reached);
  Flags found;
  for (Value output : reached.getOutputs())
    addTo(found, output, builder, reached.getLoc());
  found.resize(numTargets, Flag::never());
  for (auto [result, flag] : llvm::zip_equal(reached.getResults(), found))
    result.replaceAllUsesWith(flag.materialise(builder, reached.getLoc()));
  reached.erase();
  for (; !declared.empty(); declared.pop_front())
    makeBody(*declared.front());
  return success();
}

void ReachedExpansion::addTo(Flags &sum, Value value, OpBuilder &builder, Location loc) const {
  const Flags &known = flagsOf(value);
  if (known.empty())
    return;
  sum.resize(numTargets, Flag::never());
  for (unsigned target = 0; target < numTargets; ++target)
    sum[target] = Flag::either(sum[target], known[target], builder, loc);
}

void ReachedExpansion::appendFlags(SmallVectorImpl<Value> &values, Value of, OpBuilder &builder,
                                   Location loc) const {
  for (unsigned target = 0; target < numTargets; ++target)
    values.push_back(flagOf(of, target).materialise(builder, loc));
}

Flags ReachedExpansion::takeFlags(ValueRange &values) const {
  Flags taken = llvm::map_to_vector(values.take_front(numTargets), Flag::of);
  values = values.drop_front(numTargets);
  return taken;
}

void ReachedExpansion::spread(Block &block, Operation *end, const GradientFlow &flow) {
  for (Operation &op : llvm::make_early_inc_range(
           llvm::make_range(block.begin(), end ? end->getIterator() : block.end())))
    if (llvm::any_of(op.getResults(), [&](Value result) { return flow.flowsThrough(result); }))
      spread(op, flow);
}

void ReachedExpansion::spread(Operation &op, const GradientFlow &flow) {
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return spread(branch, flow);
  if (auto loop = dyn_cast<scf::WhileOp>(op))
    return spread(loop, flow);
  if (auto choice = dyn_cast<arith::SelectOp>(op))
    return spread(choice);
  if (auto call = dyn_cast<func::CallOp>(op); call && functions.calleeOf(call))
    return spread(call, flow);
  OpBuilder behind(op.getContext());
  behind.setInsertionPointAfter(&op);
  Flags known;
  auto grad = dyn_cast<bf::GradOp>(op);
  if (!cutsHistory(op) && (!grad || grad.getCreateGraph()))
    for (Value operand : op.getOperands())
      addTo(known, operand, behind, op.getLoc());
  for (Value result : op.getResults()) {
    if (!flow.flowsThrough(result))
      continue;
    Flags own = known;
    addTo(own, result, behind, op.getLoc()); // a target
    set(result, std::move(own));
  }
}

void ReachedExpansion::spread(scf::IfOp op, const GradientFlow &flow) {
  SmallVector<unsigned> wanted;
  for (OpResult result : op.getResults())
    if (flow.flowsThrough(result))
      wanted.push_back(result.getResultNumber());
  for (Region &region : op->getRegions()) {
    Block &side = region.front();
    spread(side, nullptr, flow);
    Operation *yield = side.getTerminator();
    OpBuilder last(yield);
    SmallVector<Value> values;
    for (unsigned number : wanted)
      appendFlags(values, yield->getOperand(number), last, op.getLoc());
    appendOperands(yield, values);
  }
  unsigned numResults = op.getNumResults();
  ValueRange made = makeResults(op).getResults();
  ValueRange bools = made.drop_front(numResults);
  for (unsigned number : wanted)
    set(made[number], takeFlags(bools));
}

void ReachedExpansion::spread(scf::WhileOp op, const GradientFlow &flow) {
  Location loc = op.getLoc();
  unsigned numResults = op.getNumResults();
  Type boolean = IntegerType::get(op.getContext(), 1);
  auto addArguments = [&](Block &block, auto &&numbers) {
    for (unsigned number : numbers) {
      Flags taken;
      for (unsigned target = 0; target < numTargets; ++target)
        taken.push_back(Flag::of(block.addArgument(boolean, loc)));
      set(block.getArgument(number), std::move(taken));
    }
  };
  auto handOn = [&](Operation *end, unsigned first, ArrayRef<unsigned> numbers) {
    OpBuilder before(end);
    SmallVector<Value> values;
    for (unsigned number : numbers)
      appendFlags(values, end->getOperand(first + number), before, loc);
    appendOperands(end, values);
  };
  auto flowing = [&](ValueRange values) {
    SmallVector<unsigned> numbers;
    for (auto [number, value] : llvm::enumerate(values))
      if (flow.flowsThrough(value))
        numbers.push_back(number);
    return numbers;
  };
  SmallVector<unsigned> carried = flowing(op.getBeforeArguments()),
                        handedOn = flowing(op.getAfterArguments()),
                        results = flowing(op.getResults());
  for (unsigned number : results)
    if (!llvm::is_contained(handedOn, number))
      handedOn.push_back(number);

  handOn(op, 0, carried);
  addArguments(*op.getBeforeBody(), carried);
  spread(*op.getBeforeBody(), nullptr, flow);
  handOn(op.getConditionOp(), 1, handedOn); // behind the condition itself
  addArguments(*op.getAfterBody(), handedOn);
  spread(*op.getAfterBody(), nullptr, flow);
  handOn(op.getYieldOp(), 0, carried);
  ValueRange made = makeResults(op).getResults();
  ValueRange bools = made.drop_front(numResults);
  for (unsigned number : handedOn)
    set(made[number], takeFlags(bools));
}

void ReachedExpansion::spread(arith::SelectOp op) {
  OpBuilder behind(op.getContext());
  behind.setInsertionPointAfter(op);
  Flags known;
  for (unsigned target = 0; target < numTargets; ++target) {
    Flag then = flagOf(op.getTrueValue(), target), otherwise = flagOf(op.getFalseValue(), target);
    bool agree =
        (then.isNever() && otherwise.isNever()) || (then.isAlways() && otherwise.isAlways());
    known.push_back(
        agree ? then
              : Flag::of(arith::SelectOp::create(behind, op.getLoc(), op.getCondition(),
                                                 then.materialise(behind, op.getLoc()),
                                                 otherwise.materialise(behind, op.getLoc()))));
  }
  set(op.getResult(), std::move(known));
}

//===- Functions ---------------------------------------------------------------------------===//

void ReachedExpansion::spread(func::CallOp op, const GradientFlow &flow) {
  Selection dependent, wanted;
  for (Value operand : op.getOperands())
    dependent.push_back(flags.contains(operand));
  for (Value result : op.getResults())
    wanted.push_back(flow.flowsThrough(result));
  FlaggedFunction &form = flagged(functions.calleeOf(op), dependent, wanted);

  OpBuilder builder(op);
  SmallVector<Value> operands(op.getOperands());
  for (Value operand : op.getOperands())
    if (flags.contains(operand))
      appendFlags(operands, operand, builder, op.getLoc());
  auto made = func::CallOp::create(builder, op.getLoc(), form.function, operands);
  made->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  unsigned numResults = op.getNumResults();
  op->replaceAllUsesWith(made->getResults().take_front(numResults));
  op.erase();
  ValueRange bools = made->getResults().drop_front(numResults);
  for (unsigned number = 0; number < numResults; ++number)
    if (wanted[number])
      set(made->getResult(number), takeFlags(bools));
}

FlaggedFunction &ReachedExpansion::flagged(func::FuncOp callee, const Selection &dependent,
                                           const Selection &wanted) {
  auto [known, isNew] = forms.try_emplace({callee, dependent, wanted});
  FlaggedFunction &form = known->second;
  if (!isNew)
    return form;
  form = {callee.clone(), dependent, wanted};
  form.function.setPrivate();
  form.function.setSymName((callee.getSymName() + "_reached").str());
  functions.symbolTable().insert(form.function);
  Type boolean = IntegerType::get(callee.getContext(), 1);
  SmallVector<Type> results(form.function.getResultTypes());
  Block &body = form.function.getBody().front();
  for (bool isDependent : dependent)
    if (isDependent)
      for (unsigned target = 0; target < numTargets; ++target)
        body.addArgument(boolean, callee.getLoc());
  for (bool isWanted : wanted)
    if (isWanted)
      results.append(numTargets, boolean);
  form.function.setType(FunctionType::get(callee.getContext(), body.getArgumentTypes(), results));
  unsigned numArguments = dependent.size();
  renumberForArguments(body.getTerminator(), numArguments, body.getNumArguments() - numArguments);
  declared.push_back(&form);
  return form;
}

void ReachedExpansion::makeBody(FlaggedFunction &form) {
  Block &body = form.function.getBody().front();
  Operation *end = body.getTerminator();
  unsigned numArguments = form.dependent.size();
  ValueRange bools = body.getArguments().drop_front(numArguments);
  GradientFlow flow(functions);
  for (auto [argument, isDependent] : llvm::zip(body.getArguments(), form.dependent))
    if (isDependent) {
      set(argument, takeFlags(bools));
      flow.depend(argument);
    }
  flow.spread(body.begin(), body.end());
  for (auto [result, isWanted] : llvm::zip(end->getOperands(), form.wanted))
    if (isWanted)
      flow.reach(result);
  flow.sweep(body.begin(), body.end());
  spread(body, end, flow);
  OpBuilder last(end);
  SmallVector<Value> values;
  for (auto [number, isWanted] : llvm::enumerate(form.wanted))
    if (isWanted)
      appendFlags(values, end->getOperand(number), last, end->getLoc());
  appendOperands(end, values);
  numberMoreResults(end, values.size());
}

class ExpandReachedPass : public PassWrapper<ExpandReachedPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ExpandReachedPass)
  StringRef getArgument() const final { return "bf-expand-reached"; }
  StringRef getDescription() const final { return "Follow histories by bools"; }
  void runOnOperation() final {
    if (failed(expandReached(getOperation())))
      signalPassFailure();
  }
};

} // namespace

LogicalResult expandReached(ModuleOp module) {
  SmallVector<bf::ReachedOp> questions;
  module.walk([&](bf::ReachedOp op) { questions.push_back(op); });
  for (bf::ReachedOp question : questions)
    if (failed(ReachedExpansion(question).run()))
      return failure();
  return success();
}

std::unique_ptr<Pass> createExpandReachedPass() { return std::make_unique<ExpandReachedPass>(); }

} // namespace bifront
