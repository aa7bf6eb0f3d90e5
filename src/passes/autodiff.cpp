#include "passes/autodiff.h"

#include "ir/aten_op.h"
#include "passes/autodiff_sweep.h"
#include "passes/count_loops.h"
#include "passes/escapes.h"
#include "passes/functionalise.h"
#include "passes/reached.h"
#include "passes/separate_results.h"

using namespace mlir;

namespace bifront {

Expansion::Expansion(bf::GradOp grad, Derivatives &derivatives)
    : derivatives(derivatives), flows(grad->getParentOfType<ModuleOp>()),
      recordsGraph(grad.getCreateGraph()) {}

Expansion::~Expansion() {
  for (Operation *op : retired)
    op->destroy();
}

void Expansion::retire(Operation *op) {
  op->dropAllReferences();
  op->remove();
  retired.push_back(op);
}

ReverseSweep::ReverseSweep(Expansion &shared, const GradientFlow &flow, bf::GradOp grad)
    : shared(shared), flow(flow), builder(grad) {}

ReverseSweep::ReverseSweep(Expansion &shared, const GradientFlow &flow, Block &forward,
                           Block &backward, ReverseSweep *outer, Tape tape)
    : shared(shared), flow(flow), forward(&forward), backward(&backward), outer(outer), tape(tape),
      builder(OpBuilder::atBlockEnd(&backward)) {}

LogicalResult ReverseSweep::run(Operation *op) {
  // Splicing replaces the op at hand and inserts others behind it, so step before working.
  while (op) {
    Operation *before = op->getPrevNode();
    bool isReached =
        llvm::any_of(op->getResults(), [&](Value result) { return gradients.contains(result); });
    if (isReached && failed(differentiate(*op)))
      return failure();
    op = before;
  }
  return success();
}

LogicalResult ReverseSweep::differentiate(Operation &op) {
  if (isa<scf::IfOp, scf::WhileOp>(op))
    return differentiateRegions(op);
  if (!flow.isDifferentiable(op))
    return success();
  if (isa<func::CallOp>(op))
    return differentiateRegions(op);
  if (auto call = dyn_cast<bf::AtenOp>(op))
    return differentiateCall(call);
  return op.emitError("no gradient flows through `")
         << op.getName() << "`: the autodiff pass does not know this op";
}

namespace {

void countLoopsBefore(bf::GradOp grad, FunctionFlows &functions) {
  GradientFlow flow = flowTo(grad, grad.getWrt(), grad.getOutputs(), functions);
  SmallVector<Operation *> ops;
  for (Operation &op : llvm::make_range(grad->getBlock()->begin(), grad->getIterator()))
    if (llvm::any_of(op.getResults(), [&](Value value) { return flow.flowsThrough(value); }))
      ops.push_back(&op);
  llvm::for_each(ops, countLoops);
}

LogicalResult refuseFlow(bf::GradOp grad) {
  return grad.emitError("a gradient flows out of the branch, the loop or the function that it is "
                        "taken in");
}

// Back through the block that the gradient is taken in, and through what is ahead of the branches
// around it. There a tape would be left in all runs and spent in some.
LogicalResult sweepBack(bf::GradOp grad, const GradientFlow &flow, ReverseSweep &sweep) {
  for (Operation *at : waysTo(grad)) {
    auto before = llvm::make_range(at->getBlock()->begin(), at->getIterator());
    bool leavesTape = llvm::any_of(before, [&](Operation &op) {
      return isa<scf::IfOp, scf::WhileOp, func::CallOp>(op) &&
             llvm::any_of(op.getResults(), [&](Value value) { return flow.flowsThrough(value); });
    });
    if (at != grad && leavesTape)
      return refuseFlow(grad);
    if (failed(sweep.run(at->getPrevNode())))
      return failure();
  }
  return success();
}

// Gradients that would have to go on where the sweep does not.
LogicalResult checkSources(bf::GradOp grad, const ReverseSweep &sweep) {
  SmallVector<Operation *> ways = waysTo(grad);
  for (auto [value, gradient] : sweep.allGradients()) {
    bool isSwept = value.getDefiningOp() && llvm::any_of(ways, [&](Operation *at) {
                     return value.getParentBlock() == at->getBlock();
                   });
    if (!isSwept && !llvm::is_contained(grad.getWrt(), value))
      return refuseFlow(grad);
  }
  return success();
}

// Uses by which the tensor itself, and not what is computed of it, may leave the graph.
bool handsOn(OpOperand &use) {
  auto call = dyn_cast<bf::AtenOp>(use.getOwner());
  return call ? isView(call) : !isa<bf::PointwiseOp, bf::DimOp, bf::GradOp>(use.getOwner());
}

// Eager's gradients are tensors of their own; here, two that are equal are one value. At the top of
// the graph names tell them apart until the end (separate_results.h), but not where a branch, a
// loop or a function hands them on.
Value makeOwn(OpBuilder &builder, Value gradient, Location location) {
  AtenArg first{AtenArg::Operand{0}}, none{AtenArg::None{}};
  bf::AtenOp clone =
      createAten(builder, location, "aten::clone", {first, none}, gradient, gradient.getType());
  clone->setAttr(kOwnAttr, builder.getUnitAttr());
  return clone.getResult(0);
}

bool isInGraphItself(bf::GradOp grad) {
  auto function = dyn_cast<func::FuncOp>(grad->getParentOp());
  return function && function == *grad->getParentOfType<ModuleOp>().getOps<func::FuncOp>().begin();
}

LogicalResult replace(bf::GradOp grad, ReverseSweep &sweep) {
  SmallVector<Value> results;
  bool mayMeet = !isInGraphItself(grad);
  OpBuilder builder(grad);
  for (auto [wrt, result] : llvm::zip(grad.getWrt(), grad.getGradients())) {
    Value gradient = sweep.gradientOrZero(wrt);
    if (gradient.getType() != result.getType())
      return grad.emitError("a gradient is ")
             << gradient.getType() << " where " << result.getType() << " is expected";
    if (mayMeet && escapes(result))
      result.replaceUsesWithIf(makeOwn(builder, gradient, grad.getLoc()), handsOn);
    results.push_back(gradient);
  }
  grad->replaceAllUsesWith(results);
  grad.erase();
  return success();
}

LogicalResult expand(bf::GradOp grad, Derivatives &derivatives) {
  Expansion shared(grad, derivatives);
  countLoopsBefore(grad, shared.flows);
  GradientFlow flow = flowTo(grad, grad.getWrt(), grad.getOutputs(), shared.flows);
  ReverseSweep sweep(shared, flow, grad);
  for (auto [index, output] : llvm::enumerate(grad.getOutputs())) {
    if (!flow.depends(output))
      continue;
    Value gradient =
        grad.getSeeds().empty() ? sweep.like("aten::ones_like", output) : grad.getSeeds()[index];
    sweep.accumulate(output, gradient, grad.getLoc());
  }
  if (failed(sweepBack(grad, flow, sweep)) || failed(checkSources(grad, sweep)) ||
      failed(replace(grad, sweep)))
    return failure();
  return shared.makeFunctions();
}

// Functions in an order in which those that are called come before those that call them.
class CalleesFirst {
public:
  explicit CalleesFirst(ModuleOp module) : symbols(module) {
    for (auto function : module.getOps<func::FuncOp>())
      add(function);
  }
  ArrayRef<func::FuncOp> functions() const { return order; }

private:
  void add(func::FuncOp function) {
    if (!seen.insert(function).second)
      return;
    function.walk([&](func::CallOp call) {
      if (auto callee = symbols.lookup<func::FuncOp>(call.getCallee()))
        add(callee);
    });
    order.push_back(function);
  }

  SymbolTable symbols;
  llvm::DenseSet<Operation *> seen;
  SmallVector<func::FuncOp> order;
};

// What was called until its calls got functions of their own: those of `called` that nothing else
// comes to any more. The first function is the graph.
void eraseUncalled(ModuleOp module, const llvm::DenseSet<Operation *> &called) {
  SymbolTable symbols(module);
  llvm::SetVector<Operation *> used;
  for (auto function : module.getOps<func::FuncOp>())
    if (used.empty() || !called.contains(function))
      used.insert(function);
  for (unsigned i = 0; i < used.size(); ++i)
    used[i]->walk([&](func::CallOp call) {
      if (auto callee = symbols.lookup<func::FuncOp>(call.getCallee()))
        used.insert(callee);
    });
  for (Operation *function : called)
    if (!used.contains(function))
      function->erase();
}

llvm::DenseSet<Operation *> calledFunctions(ModuleOp module) {
  SymbolTable symbols(module);
  llvm::DenseSet<Operation *> called;
  module.walk([&](func::CallOp call) {
    if (auto callee = symbols.lookup<func::FuncOp>(call.getCallee()))
      called.insert(callee);
  });
  return called;
}

class AutodiffPass : public PassWrapper<AutodiffPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(AutodiffPass)
  explicit AutodiffPass(DerivativeSource &source) : source(source) {}
  StringRef getArgument() const override { return "bf-autodiff"; }
  StringRef getDescription() const override { return "expand bf.grad"; }
  void runOnOperation() override {
    if (failed(expandGradients(getOperation(), source)))
      signalPassFailure();
  }

private:
  DerivativeSource &source;
};

} // namespace

// What was spliced in may write; another gradient through the same ops needs values.
static LogicalResult removeWrites(ModuleOp module) {
  WalkResult found = module.walk([](bf::AtenOp op) {
    return writtenOperands(op).empty() ? WalkResult::advance() : WalkResult::interrupt();
  });
  return found.wasInterrupted() ? functionalise(module) : success();
}

LogicalResult expandGradients(ModuleOp module, DerivativeSource &source) {
  Derivatives derivatives(source);
  llvm::DenseSet<Operation *> called = calledFunctions(module);
  if (failed(expandReached(module)))
    return failure();
  SmallVector<bf::GradOp> grads;
  CalleesFirst order(module);
  for (func::FuncOp function : order.functions())
    function.walk([&](bf::GradOp grad) { grads.push_back(grad); });
  for (auto [number, grad] : llvm::enumerate(grads))
    if ((number > 0 && failed(removeWrites(module))) || failed(expand(grad, derivatives)))
      return failure();
  eraseUncalled(module, called);
  return success();
}

std::unique_ptr<Pass> createAutodiffPass(DerivativeSource &source) {
  return std::make_unique<AutodiffPass>(source);
}

} // namespace bifront
