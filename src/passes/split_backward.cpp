#include "passes/split_backward.h"

#include "passes/separate_results.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bifront {
namespace {

class Splitter {
public:
  Splitter(func::FuncOp function, BackwardSplit &split)
      : function(function), body(function.getBody().front()), split(split),
        terminator(cast<func::ReturnOp>(body.getTerminator())) {}

  LogicalResult run() {
    if (failed(findForward()))
      return failure();
    findSaved();
    makeBackward();
    cutForward();
    return success();
  }

private:
  unsigned numInputs() const { return body.getNumArguments() - split.numSeeds; }
  bool isSeed(Value value) const {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getOwner() == &body && argument.getArgNumber() >= numInputs();
  }

  // What an op, or one inside of it, takes from this block.
  SmallVector<Value> operandsOf(Operation *op) const {
    SmallVector<Value> operands;
    op->walk([&](Operation *inside) {
      for (Value operand : inside->getOperands())
        if (operand.getParentBlock() == &body)
          operands.push_back(operand);
    });
    return operands;
  }

  // What the results need, and what has an effect.
  LogicalResult findForward() {
    SmallVector<Operation *> open;
    auto need = [&](Operation *op) {
      if (op && forward.insert(op))
        open.push_back(op);
    };
    for (Value result : terminator.getOperands().take_front(split.numResults))
      need(result.getDefiningOp());
    for (Operation &op : body.without_terminator())
      if (!isMemoryEffectFree(&op))
        need(&op);
    while (!open.empty())
      for (Value operand : operandsOf(open.pop_back_val())) {
        if (isSeed(operand))
          return function.emitError("an effect depends on the gradient of a result");
        need(operand.getDefiningOp());
      }
    return success();
  }

  // Constants are made where they are used.
  static bool isConstant(Value value) {
    Operation *op = value.getDefiningOp();
    return op && op->hasTrait<OpTrait::ConstantLike>();
  }

  void findSaved() {
    auto use = [&](Value value) {
      Operation *op = value.getDefiningOp();
      if (!isSeed(value) && !isConstant(value) && (!op || forward.contains(op)))
        saved.insert(value);
    };
    for (Operation &op : body.without_terminator())
      if (!forward.contains(&op))
        llvm::for_each(operandsOf(&op), use);
    llvm::for_each(terminator.getOperands().drop_front(split.numResults), use);
  }

  void makeBackward() {
    OpBuilder builder(function.getContext());
    split.backward = ModuleOp::create(function.getLoc());
    SmallVector<Value> arguments;
    for (Value value : saved)
      if (!isa<BlockArgument>(value))
        arguments.push_back(value);
    for (Value value : saved)
      if (auto argument = dyn_cast<BlockArgument>(value)) {
        arguments.push_back(value);
        split.savedInputs.push_back(argument.getArgNumber());
      }
    llvm::append_range(arguments, body.getArguments().drop_front(numInputs()));
    OperandRange gradients = terminator.getOperands().drop_front(split.numResults);
    builder.setInsertionPointToStart(split.backward->getBody());
    auto made = func::FuncOp::create(
        builder, function.getLoc(), function.getName(),
        builder.getFunctionType(TypeRange(ValueRange(arguments)), gradients.getTypes()));
    Block *block = made.addEntryBlock();
    IRMapping map;
    map.map(ValueRange(arguments), block->getArguments());
    builder.setInsertionPointToStart(block);
    for (Operation &op : body.without_terminator())
      if (!forward.contains(&op) || op.hasTrait<OpTrait::ConstantLike>())
        builder.clone(op, map);
    SmallVector<Value> returned;
    for (Value gradient : gradients)
      returned.push_back(map.lookup(gradient));
    func::ReturnOp::create(builder, terminator.getLoc(), returned);
  }

  // Saved values are returned behind the results, whatever memory they lie in.
  void cutForward() {
    OpBuilder builder(terminator);
    SmallVector<Value> returned(terminator.getOperands().take_front(split.numResults));
    for (Value value : saved)
      if (!isa<BlockArgument>(value))
        returned.push_back(value);
    for (const char *name : {kObjectsAttr, kStoragesAttr})
      if (auto numbers = terminator->getAttrOfType<DenseI32ArrayAttr>(name)) {
        SmallVector<int32_t> kept(numbers.asArrayRef().take_front(split.numResults));
        kept.resize(returned.size(), kUnknownTensor);
        terminator->setAttr(name, builder.getDenseI32ArrayAttr(kept));
      }
    terminator->setOperands(returned);
    SmallVector<Operation *> behindSeeds;
    for (Operation &op : body.without_terminator())
      if (!forward.contains(&op))
        behindSeeds.push_back(&op);
    for (Operation *op : llvm::reverse(behindSeeds))
      op->erase();
    BitVector seeds(body.getNumArguments());
    seeds.set(numInputs(), body.getNumArguments());
    (void)function.eraseArguments(seeds);
    function.setType(
        builder.getFunctionType(body.getArgumentTypes(), TypeRange(ValueRange(returned))));
  }

  func::FuncOp function;
  Block &body;
  BackwardSplit &split;
  func::ReturnOp terminator;
  llvm::SetVector<Operation *> forward;
  llvm::SetVector<Value> saved; // of the forward, used behind the seeds
};

} // namespace

LogicalResult splitBackward(ModuleOp module, BackwardSplit &split) {
  auto functions = llvm::to_vector(module.getOps<func::FuncOp>());
  if (functions.size() != 1)
    return module.emitError("gradients of results flow through functions of the graph");
  return Splitter(functions.front(), split).run();
}

} // namespace bifront
