#include "passes/functionalise.h"

#include "passes/functional_twin.h"
#include "passes/separate_results.h"
#include "passes/view_ops.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace bifront {
namespace {

// Follows one function from top to bottom. A value of the recorded function names a tensor; what
// its contents are at this point is another value.
class Functionaliser {
public:
  explicit Functionaliser(func::FuncOp function)
      : function(function), builder(function.getContext()) {}

  LogicalResult run();

private:
  // How a tensor shares memory with another: result `result` of `op` is a view of op's operand
  // `parent` (as recorded).
  struct Link {
    Value parent;
    bf::AtenOp op;
    unsigned result = 0;
  };
  struct Contents {
    Value value;
    uint64_t version; // of the base, when `value` was what the tensor held
  };

  LogicalResult visit(Operation *op);
  LogicalResult visitCall(bf::AtenOp op);
  LogicalResult rewriteWrite(bf::AtenOp op, ArrayRef<uint32_t> written);
  LogicalResult checkWritable(bf::AtenOp op, Value target);
  LogicalResult keepsHistory(bf::AtenOp op, Value target);
  LogicalResult write(Operation *at, Value tensor, Value contents);
  void noteViews(bf::AtenOp op, ValueRange recordedOperands);
  void emitStores(Operation *terminator);
  void noteIdentities(Operation *terminator);

  Value baseOf(Value tensor) const;
  Value contentsOf(Value tensor);
  // The tensor before any write to it or to its base: it lies in memory as eager's does, which new
  // contents need not.
  Value asMade(Value tensor);
  LogicalResult checkReturns(Operation *terminator);
  // Contents of each operand, for an op that reads them now.
  void useContents(Operation *op);

  func::FuncOp function;
  OpBuilder builder;
  DenseMap<Value, Link> links;
  DenseMap<Value, Contents> held;     // of bases and of views that were written or taken anew
  DenseMap<Value, uint64_t> versions; // of bases; one that was never written is not here
  llvm::MapVector<std::pair<Value, StringRef>, bf::StoreAttrOp> attributes;
  DenseMap<Value, Location> writtenAt;
  unsigned gradientsAhead = 0;
};

Value Functionaliser::baseOf(Value tensor) const {
  for (auto link = links.find(tensor); link != links.end(); link = links.find(tensor))
    tensor = link->second.parent;
  return tensor;
}

Value Functionaliser::contentsOf(Value tensor) {
  Value base = baseOf(tensor);
  auto version = versions.find(base);
  if (version == versions.end())
    return tensor;
  auto known = held.find(tensor);
  if (known != held.end() && known->second.version == version->second)
    return known->second.value;
  // A view of a base that was written since: take it again.
  const Link &link = links.find(tensor)->second;
  bf::AtenOp view = link.op;
  unsigned result = link.result;
  Value value = takeView(builder, view, result, contentsOf(link.parent));
  held[tensor] = {value, versions.lookup(base)};
  return value;
}

Value Functionaliser::asMade(Value tensor) {
  auto link = links.find(tensor);
  if (link == links.end())
    return tensor;
  bf::AtenOp view = link->second.op;
  unsigned result = link->second.result;
  Value parent = asMade(link->second.parent);
  if (view->getOperand(0) == parent)
    return tensor;
  auto copy = cast<bf::AtenOp>(builder.clone(*view.getOperation()));
  copy->setOperand(0, parent);
  return copy.getResult(result);
}

void Functionaliser::useContents(Operation *op) {
  builder.setInsertionPoint(op);
  for (OpOperand &operand : op->getOpOperands())
    if (isa<RankedTensorType>(operand.get().getType()))
      operand.set(contentsOf(operand.get()));
}

LogicalResult Functionaliser::write(Operation *at, Value tensor, Value contents) {
  Value base = baseOf(tensor);
  // From the view up to its base, all with the new version.
  SmallVector<std::pair<Value, Value>> fresh = {{tensor, contents}};
  while (tensor != base) {
    Link link = links.find(tensor)->second;
    contents = putView(builder, link.op, link.result, contentsOf(link.parent), contents);
    if (!contents)
      return at->emitError() << "writes through '" << link.op.getSchema()
                             << "', a view that cannot be undone";
    tensor = link.parent;
    fresh.emplace_back(tensor, contents);
  }
  uint64_t version = ++versions[base];
  for (auto [name, value] : fresh)
    held[name] = {value, version};
  writtenAt.try_emplace(base, at->getLoc());
  return success();
}

// Inputs that share memory are refused as soon as one is written.
LogicalResult Functionaliser::checkWritable(bf::AtenOp op, Value target) {
  auto argument = dyn_cast<BlockArgument>(baseOf(target));
  if (!argument)
    return success();
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto alias = function.getArgAttrOfType<IntegerAttr>(i, kAliasOfAttr);
    if (alias && (i == argument.getArgNumber() || alias.getInt() == argument.getArgNumber()))
      return op.emitError() << "writes input " << argument.getArgNumber()
                            << ", which shares memory with another input";
  }
  return success();
}

// Writes that autograd does not see (under no_grad, or through detach) leave the history of a
// tensor as it was, with other contents; a value cannot say that, so such a tensor must have no
// history.
LogicalResult Functionaliser::keepsHistory(bf::AtenOp op, Value target) {
  bool unseen = op.getNoGrad();
  for (auto link = links.find(target); link != links.end(); link = links.find(target)) {
    unseen |= link->second.op.getSchema() == "aten::detach";
    target = link->second.parent;
  }
  auto base = target.getDefiningOp<bf::AtenOp>();
  if (!unseen || gradientsAhead == 0 || !base || base.getNoGrad() || base.getInputs().empty())
    return success();
  auto type = cast<RankedTensorType>(target.getType());
  OpKind kind = opRow(base.getSchema()).kind;
  StringRef name = base.getBaseName();
  if (!isa<FloatType, ComplexType>(type.getElementType()) || kind == OpKind::Factory ||
      name.ends_with("_like"))
    return success();
  return op.emitError() << "writes a tensor behind autograd's back, and gradients are taken later";
}

LogicalResult Functionaliser::rewriteWrite(bf::AtenOp op, ArrayRef<uint32_t> written) {
  SmallVector<Value> recorded(op.getInputs());
  for (uint32_t operand : written)
    if (failed(checkWritable(op, recorded[operand])) || failed(keepsHistory(op, recorded[operand])))
      return failure();
  StringRef name = op.getBaseName();
  std::vector<std::pair<unsigned, uint32_t>> aliases = aliasedResults(op);
  useContents(op);
  // Draws fill a tensor in the order of its memory, and do not read it.
  if (opRow(op.getSchema()).kind == OpKind::Random && name.ends_with("_") &&
      written == ArrayRef<uint32_t>{0} && name != "aten::rrelu_with_noise_")
    op->setOperand(0, asMade(recorded[0]));
  if (name == "aten::detach_") {
    Value cut = createAten(builder, op.getLoc(), "aten::detach", {{AtenArg::Operand{0}}},
                           op.getInputs()[0], op.getInputs()[0].getType())
                    .getResult(0);
    if (failed(write(op, recorded[0], cut)))
      return failure();
  } else if (opRow(op.getSchema()).kind == OpKind::View || name == "aten::set_" ||
             name == "aten::resize_" || name == "aten::resize_as_") {
    return op.emitError() << "changes the shape or the memory of a tensor in place";
  } else if (Value contents = emitPureTwin(builder, op)) {
    if (failed(write(op, recorded[0], contents)))
      return failure();
  } else {
    bf::AtenOp functional = emitFunctionalForm(builder, op, written);
    unsigned own = functional.getNumOwnResults();
    for (unsigned i = 0; i < own; ++i) {
      bool aliased = llvm::any_of(aliases, [&](auto pair) { return pair.first == i; });
      if (!aliased)
        op.getResult(i).replaceAllUsesWith(functional.getResult(i));
    }
    for (auto [i, operand] : llvm::enumerate(written))
      if (failed(write(op, recorded[operand], functional.getResult(own + i))))
        return failure();
  }
  // A result that is the written tensor itself goes by its name from here on.
  for (auto [result, operand] : aliases)
    op.getResult(result).replaceAllUsesWith(recorded[operand]);
  for (Value result : op.getResults())
    if (!result.use_empty())
      return op.emitError() << "a result that shares memory in an unknown way";
  op.erase();
  return success();
}

void Functionaliser::noteViews(bf::AtenOp op, ValueRange recorded) {
  for (auto [result, operand] : aliasedResults(op))
    if (isa<RankedTensorType>(op.getResult(result).getType()))
      links[op.getResult(result)] = {recorded[operand], op, result};
}

LogicalResult Functionaliser::visitCall(bf::AtenOp op) {
  std::vector<uint32_t> written = writtenOperands(op);
  if (!written.empty())
    return rewriteWrite(op, written);
  SmallVector<Value> recorded(op.getInputs());
  useContents(op);
  noteViews(op, recorded);
  // The view just made is of its base's contents as they are now.
  for (Value result : op.getResults())
    if (auto link = links.find(result); link != links.end())
      if (auto version = versions.find(baseOf(result)); version != versions.end())
        held[result] = {result, version->second};
  return success();
}

LogicalResult Functionaliser::visit(Operation *op) {
  if (auto call = dyn_cast<bf::AtenOp>(op))
    return visitCall(call);
  if (auto store = dyn_cast<bf::StoreOp>(op)) {
    builder.setInsertionPoint(op);
    if (failed(write(op, store.getTarget(), contentsOf(store.getValue()))))
      return failure();
    op->erase();
    return success();
  }
  if (auto store = dyn_cast<bf::StoreAttrOp>(op)) {
    // An attribute names a tensor: what it holds in the end is what the tensor holds then.
    attributes.insert_or_assign({store.getTarget(), store.getName()}, store);
    return success();
  }
  if (isa<func::ReturnOp>(op)) {
    if (failed(checkReturns(op)))
      return failure();
    emitStores(op);
    return success();
  }
  if (op->getNumRegions() != 0 && !isa<bf::PointwiseOp>(op))
    return op->emitError() << "control flow is not functionalised yet";
  gradientsAhead -= isa<bf::GradOp>(op);
  useContents(op);
  return success();
}

// Passes merge equal values; which tensors of the program are one object, or share memory, is noted
// while values still name tensors.
void Functionaliser::noteIdentities(Operation *terminator) {
  if (terminator->hasAttr(kObjectsAttr))
    return;
  DenseMap<Value, int32_t> numbers;
  for (BlockArgument argument : function.getArguments())
    numbers[argument] = argument.getArgNumber();
  auto numberOf = [&](Value tensor) {
    return numbers.try_emplace(tensor, int32_t(numbers.size())).first->second;
  };
  SmallVector<int32_t> objects, storages;
  for (Value tensor : terminator->getOperands()) {
    objects.push_back(numberOf(tensor));
    storages.push_back(numberOf(baseOf(tensor)));
  }
  terminator->setAttr(kObjectsAttr, builder.getDenseI32ArrayAttr(objects));
  terminator->setAttr(kStoragesAttr, builder.getDenseI32ArrayAttr(storages));
  for (auto &[key, store] : attributes) {
    if (!store.getValue())
      continue;
    store->setAttr(kObjectsAttr, builder.getDenseI32ArrayAttr(numberOf(store.getValue())));
    store->setAttr(kStoragesAttr, builder.getDenseI32ArrayAttr(numberOf(baseOf(store.getValue()))));
  }
}

// A returned view of an input shares its memory, which a value of the input's new contents does
// not.
LogicalResult Functionaliser::checkReturns(Operation *terminator) {
  for (Value tensor : terminator->getOperands())
    if (isa<BlockArgument>(baseOf(tensor)) && !isa<BlockArgument>(tensor) &&
        writtenAt.contains(baseOf(tensor)))
      return terminator->emitError()
             << "a view of a tensor from outside that is written is returned";
  return success();
}

void Functionaliser::emitStores(Operation *terminator) {
  noteIdentities(terminator);
  builder.setInsertionPoint(terminator);
  // Inputs are returned and assigned as the tensors they are, others as contents.
  auto finally = [&](Value tensor) {
    bool keeps = isa<BlockArgument>(tensor) || !isa<RankedTensorType>(tensor.getType());
    return keeps ? tensor : contentsOf(tensor);
  };
  for (OpOperand &operand : terminator->getOpOperands())
    operand.set(finally(operand.get()));
  for (BlockArgument argument : function.getArguments()) {
    auto contents = held.find(argument);
    if (contents != held.end() && contents->second.value != argument)
      bf::StoreOp::create(builder, writtenAt.find(argument)->second, contents->second.value,
                          argument);
  }
  for (auto &[key, store] : attributes) {
    store->moveBefore(terminator);
    if (store.getValue())
      store.getValueMutable().assign(finally(store.getValue()));
  }
}

LogicalResult Functionaliser::run() {
  if (function.isDeclaration())
    return success();
  if (!function.getBody().hasOneBlock())
    return function.emitError() << "control flow is not functionalised yet";
  SmallVector<Operation *> ops;
  for (Operation &op : function.getBody().front()) {
    ops.push_back(&op);
    gradientsAhead += isa<bf::GradOp>(op);
  }
  SmallVector<Operation *> overwritten;
  for (Operation *op : ops) {
    if (auto store = dyn_cast<bf::StoreAttrOp>(op))
      if (auto earlier = attributes.find({store.getTarget(), store.getName()});
          earlier != attributes.end())
        overwritten.push_back(earlier->second);
    if (failed(visit(op)))
      return failure();
  }
  for (Operation *op : overwritten)
    op->erase();
  return success();
}

class FunctionalisePass : public PassWrapper<FunctionalisePass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FunctionalisePass)
  StringRef getArgument() const final { return "bf-functionalise"; }
  StringRef getDescription() const final { return "Turn writes to tensors into new values"; }
  void runOnOperation() final {
    if (failed(functionalise(getOperation())))
      signalPassFailure();
  }
};

} // namespace

LogicalResult functionalise(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (failed(Functionaliser(function).run()))
      return failure();
  WalkResult clean = module.walk([](bf::AtenOp op) {
    if (writtenOperands(op).empty())
      return WalkResult::advance();
    op.emitError() << "still writes an operand after functionalisation";
    return WalkResult::interrupt();
  });
  return failure(clean.wasInterrupted());
}

std::unique_ptr<Pass> createFunctionalisePass() { return std::make_unique<FunctionalisePass>(); }

} // namespace bifront
