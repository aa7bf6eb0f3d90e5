#include "passes/split_backward.h"

#include "ir/bf_dialect.h"
#include "passes/separate_results.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bifront {
namespace {

// Whether nothing that the op makes depends on what is in the operand.
bool givesSizesOnly(OpOperand &operand) {
  auto call = dyn_cast<bf::AtenOp>(operand.getOwner());
  StringRef name = call ? call.getBaseName() : StringRef();
  if (name == "aten::expand_as" || name == "aten::view_as" || name == "aten::reshape_as")
    return operand.getOperandNumber() == 1;
  bool isMadeAnew = name.ends_with("_like") || name.starts_with("aten::new_");
  return operand.getOperandNumber() == 0 && (isMadeAnew || isa<bf::DimOp>(operand.getOwner()));
}

// Which seeds meet which saved values in the function of the gradients.
class Readers {
public:
  explicit Readers(BackwardSplit &split)
      : split(split), block((*split.backward->getOps<func::FuncOp>().begin()).getBody().front()),
        numSaved(block.getNumArguments() - split.numSeeds),
        readers(numSaved, BitVector(split.numSeeds)),
        met(split.numSeeds, BitVector(split.numSeeds)) {
    for (BlockArgument argument : block.getArguments()) {
      Sources &from = sources.try_emplace(argument, none()).first->second;
      unsigned number = argument.getArgNumber();
      if (number >= numSaved)
        from.seeds.set(number - numSaved);
      else if (!argument.getType().isIntOrIndexOrFloat()) // eager frees no numbers
        from.saved.set(number);
    }
  }

  void find() {
    for (Operation &op : block.without_terminator())
      visit(op);
    auto numbers = [](const BitVector &bits) {
      return std::vector<uint32_t>(bits.set_bits_begin(), bits.set_bits_end());
    };
    for (const BitVector &seeds : readers)
      split.readers.push_back(numbers(seeds));
    for (const BitVector &seeds : met)
      split.meets.push_back(numbers(seeds));
  }

private:
  struct Sources {
    BitVector seeds, saved;
  };
  Sources none() const { return {BitVector(split.numSeeds), BitVector(numSaved)}; }

  void visit(Operation &op) {
    Sources from = none();
    op.walk([&](Operation *inside) {
      for (OpOperand &operand : inside->getOpOperands()) {
        auto known = sources.find(operand.get());
        if (known == sources.end() || givesSizesOnly(operand))
          continue;
        from.seeds |= known->second.seeds;
        // What a gradient has read before it came here is noted.
        if (known->second.seeds.none())
          from.saved |= known->second.saved;
      }
    });
    for (Value result : op.getResults())
      sources.try_emplace(result, from);
    if (from.saved.none())
      return;
    for (unsigned saved : from.saved.set_bits())
      readers[saved] |= from.seeds;
    for (unsigned seed : from.seeds.set_bits())
      met[seed] |= from.seeds;
  }

  BackwardSplit &split;
  Block &block;
  unsigned numSaved;
  DenseMap<Value, Sources> sources;
  std::vector<BitVector> readers, met;
};

// The functions of the graph that ops call, also from within each other.
llvm::SetVector<func::FuncOp> calledFrom(ArrayRef<Operation *> ops, const SymbolTable &symbols) {
  llvm::SetVector<func::FuncOp> called;
  auto note = [&](Operation *op) {
    op->walk(
        [&](func::CallOp call) { called.insert(symbols.lookup<func::FuncOp>(call.getCallee())); });
  };
  llvm::for_each(ops, note);
  for (unsigned i = 0; i < called.size(); ++i)
    note(called[i]);
  return called;
}

class Splitter {
public:
  Splitter(func::FuncOp function, BackwardSplit &split)
      : function(function), body(function.getBody().front()), split(split),
        terminator(cast<func::ReturnOp>(body.getTerminator())),
        symbols(function->getParentOfType<ModuleOp>()) {}

  LogicalResult run() {
    findBehindSeeds();
    if (failed(findForward()))
      return failure();
    findSaved();
    makeBackward();
    Readers(split).find();
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

  // Whether all that the op does besides computing is to take from tapes, here or in functions.
  bool onlyPops(Operation *op) const {
    SmallVector<Operation *> parts = {op};
    llvm::append_range(parts, calledFrom(op, symbols));
    return llvm::none_of(parts, [](Operation *part) {
      return part
          ->walk([](Operation *inside) {
            bool isPure = inside->getNumRegions() > 0 || isa<bf::PopOp, func::CallOp>(inside) ||
                          inside->hasTrait<OpTrait::IsTerminator>() || isMemoryEffectFree(inside);
            return isPure ? WalkResult::advance() : WalkResult::interrupt();
          })
          .wasInterrupted();
    });
  }

  // The ops that the gradients of the results go through.
  void findBehindSeeds() {
    llvm::DenseSet<Value> reached;
    for (BlockArgument argument : body.getArguments())
      if (isSeed(argument))
        reached.insert(argument);
    for (Operation &op : body.without_terminator()) {
      if (llvm::none_of(operandsOf(&op), [&](Value value) { return reached.contains(value); }))
        continue;
      behindSeeds.insert(&op);
      reached.insert_range(op.getResults());
    }
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
      if (!isMemoryEffectFree(&op) && !(behindSeeds.contains(&op) && onlyPops(&op)))
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
    builder.setInsertionPointToEnd(split.backward->getBody());
    for (func::FuncOp called : calledFrom(made.getOperation(), symbols))
      builder.clone(*called);
  }

  // What only gradients call.
  void eraseUncalled() {
    auto called = calledFrom(function.getOperation(), symbols);
    auto module = function->getParentOfType<ModuleOp>();
    for (auto other : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (other != function && !called.contains(other))
        other.erase();
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
    SmallVector<Operation *> others;
    for (Operation &op : body.without_terminator())
      if (!forward.contains(&op))
        others.push_back(&op);
    for (Operation *op : llvm::reverse(others))
      op->erase();
    eraseUncalled();
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
  SymbolTable symbols;
  llvm::DenseSet<Operation *> behindSeeds;
  llvm::SetVector<Operation *> forward;
  llvm::SetVector<Value> saved; // of the forward, used behind the seeds
};

} // namespace

LogicalResult splitBackward(ModuleOp module, BackwardSplit &split) {
  return Splitter(*module.getOps<func::FuncOp>().begin(), split).run();
}

} // namespace bifront
