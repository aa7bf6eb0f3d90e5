#include "passes/functionalise.h"

#include "passes/carry_writes.h"
#include "passes/functional_twin.h"
#include "passes/separate_results.h"
#include "passes/tensor_memory.h"
#include "passes/unite_names.h"
#include "passes/view_ops.h"
#include "passes/write_times.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace bifront {
namespace {

// Recorded ops that are out of the graph. Their results go on naming tensors for as long as anybody
// asks of these.
class Retired {
public:
  Retired() = default;
  ~Retired() {
    for (Operation *op : ops)
      op->destroy();
  }
  Retired(const Retired &) = delete;

  void add(Operation *op) {
    op->dropAllReferences();
    op->remove();
    ops.push_back(op);
  }

private:
  SmallVector<Operation *> ops;
};

// Follows one function from top to bottom. A value of the recorded function names a tensor; what
// its contents are at this point is another value.
class Functionaliser {
public:
  // `isEntry`: called from outside of the module, where the arguments are the program's tensors.
  Functionaliser(func::FuncOp function, const TensorMemory &memory, Retired &retired, bool isEntry)
      : function(function), memory(memory), retired(retired), times(memory), isEntry(isEntry),
        builder(function.getContext()) {}

  LogicalResult run();

private:
  using View = TensorMemory::View;
  struct Contents {
    Value value;
    uint64_t version; // of the base, when `value` was what the tensor held
  };
  // What tensors hold at a point. A version is of one base and one point.
  struct State {
    DenseMap<Value, Contents> held;     // of bases and of views that were written or taken anew
    DenseMap<Value, uint64_t> versions; // of bases; one that was never written is not here
  };

  LogicalResult visit(Operation *op);
  LogicalResult visit(Block &block);
  LogicalResult visitCall(bf::AtenOp op);
  LogicalResult visitFunctionCall(func::CallOp op);
  LogicalResult visitIf(scf::IfOp op);
  LogicalResult visitWhile(scf::WhileOp op);
  LogicalResult visitStoreAttr(bf::StoreAttrOp op);
  LogicalResult rewriteWrite(bf::AtenOp op, ArrayRef<uint32_t> written);
  LogicalResult checkWritable(Operation *op, Value target);
  LogicalResult checkApart(func::CallOp op, ValueRange operands, unsigned written);
  bool hasHistory(Value origin);
  bool leavesHistory(bf::AtenOp op, Value target);
  Value withHistory(Operation *at, Value before, Value contents);
  void findGradients();
  LogicalResult write(Operation *at, Value tensor, Value contents, bool keepsHistory = false);
  // The last of `values` are the contents of `bases` from here on.
  void takeOver(ArrayRef<Value> bases, ValueRange values, Location at);
  void holdCurrent(bf::AtenOp op);
  void shareAgain(Operation *terminator);
  void emitStores(Operation *terminator);
  void noteIdentities(Operation *terminator);

  bool isArgument(Value tensor) {
    auto argument = dyn_cast<BlockArgument>(tensor);
    return argument && argument.getOwner() == &function.getBody().front();
  }
  Value contentsOf(Value tensor);
  void checkKnown(Value base);
  // The tensor before any write to it or to its base: it lies in memory as eager's does, which new
  // contents need not.
  Value asMade(Value tensor);
  bool isViewOfWritten(Value tensor);
  LogicalResult checkReturns(Operation *terminator);
  // Contents of each operand, for an op that reads them now.
  void useContents(Operation *op);

  func::FuncOp function;
  const TensorMemory &memory;
  Retired &retired;
  WriteTimes times;
  bool isEntry;
  OpBuilder builder;
  State state;
  uint64_t lastVersion = 0;
  llvm::MapVector<std::pair<Value, StringRef>, bf::StoreAttrOp> attributes;
  SmallVector<Operation *> overwritten; // assignments to attributes
  DenseMap<Value, Location> writtenAt;
  Operation *current = nullptr; // the op that is being visited
  bool readsUnknown = false;
  unsigned gradientsAhead = 0; // in the function's own block
  bool gradientsElsewhere = false;
};

// Refuses to read a base whose contents depend on which tensor another name was of.
void Functionaliser::checkKnown(Value base) {
  std::optional<Location> elsewhere = times.writtenElsewhere(base);
  if (!elsewhere || readsUnknown)
    return;
  readsUnknown = true;
  auto error = current->emitError() << "reads a tensor that may have been written as another";
  error.attachNote(*elsewhere) << "which of two tensors this writes depends on the path taken";
}

Value Functionaliser::contentsOf(Value tensor) {
  Value base = memory.baseOf(tensor);
  checkKnown(base);
  auto version = state.versions.find(base);
  if (version == state.versions.end())
    return tensor;
  auto known = state.held.find(tensor);
  if (known != state.held.end() && known->second.version == version->second)
    return known->second.value;
  // A view of a base that was written since: take it again.
  const View *view = memory.viewOf(tensor);
  Value value = takeView(builder, view->op, view->result, contentsOf(view->parent));
  state.held[tensor] = {value, state.versions.lookup(base)};
  return value;
}

Value Functionaliser::asMade(Value tensor) {
  const View *view = memory.viewOf(tensor);
  if (!view)
    return tensor;
  Value parent = asMade(view->parent);
  bf::AtenOp op = view->op;
  if (op->getOperand(0) == parent)
    return tensor;
  auto copy = cast<bf::AtenOp>(builder.clone(*op.getOperation()));
  copy->setOperand(0, parent);
  return copy.getResult(view->result);
}

void Functionaliser::useContents(Operation *op) {
  builder.setInsertionPoint(op);
  for (OpOperand &operand : op->getOpOperands())
    if (isa<RankedTensorType>(operand.get().getType()))
      operand.set(contentsOf(operand.get()));
}

LogicalResult Functionaliser::write(Operation *at, Value tensor, Value contents,
                                    bool keepsHistory) {
  Value base = memory.baseOf(tensor);
  // From the view up to its base, all with the new version.
  SmallVector<std::pair<Value, Value>> fresh = {{tensor, contents}};
  while (const View *view = memory.viewOf(tensor)) {
    contents = putView(builder, view->op, view->result, contentsOf(view->parent), contents);
    if (!contents) {
      bf::AtenOp op = view->op;
      return at->emitError() << "writes through '" << op.getSchema()
                             << "', a view that cannot be undone";
    }
    tensor = view->parent;
    fresh.emplace_back(tensor, contents);
  }
  if (keepsHistory)
    for (auto &[name, value] : fresh)
      value = withHistory(at, contentsOf(name), value);
  uint64_t version = state.versions[base] = ++lastVersion;
  for (auto [name, value] : fresh)
    state.held[name] = {value, version};
  times.write(base, at->getLoc());
  writtenAt.try_emplace(base, at->getLoc());
  return success();
}

void Functionaliser::takeOver(ArrayRef<Value> bases, ValueRange values, Location at) {
  for (auto [base, value] : llvm::zip_equal(bases, values.take_back(bases.size()))) {
    uint64_t version = state.versions[base] = ++lastVersion;
    state.held[base] = {value, version};
    writtenAt.try_emplace(base, at);
  }
}

// Inputs that share memory are refused as soon as one is written, and so is what is an argument on
// one path only.
LogicalResult Functionaliser::checkWritable(Operation *op, Value target) {
  Value base = memory.baseOf(target);
  if (!isArgument(base)) {
    for (Value origin : memory.originsOf(base))
      if (isArgument(origin))
        return op->emitError() << "writes a tensor that is input "
                               << cast<BlockArgument>(origin).getArgNumber()
                               << " on one path and another on others";
    return success();
  }
  unsigned number = cast<BlockArgument>(base).getArgNumber();
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto alias = function.getArgAttrOfType<IntegerAttr>(i, kAliasOfAttr);
    if (alias && (i == number || alias.getInt() == number))
      return op->emitError() << "writes input " << number << ", which " << kSharesMemory;
  }
  return success();
}

// Whether autograd may know where the tensor comes from.
bool Functionaliser::hasHistory(Value origin) {
  auto type = cast<RankedTensorType>(origin.getType());
  if (!isa<FloatType, ComplexType>(type.getElementType()))
    return false;
  if (isArgument(origin))
    return !isEntry;
  if (auto grad = origin.getDefiningOp<bf::GradOp>())
    return grad.getCreateGraph();
  auto made = origin.getDefiningOp<bf::AtenOp>();
  if (!made)
    return true;
  return !made.getNoGrad() && !made.getInputs().empty() &&
         opRow(made.getSchema()).kind != OpKind::Factory && !made.getBaseName().ends_with("_like");
}

// Writes that autograd does not see (under no_grad, or through detach) leave the history of a
// tensor as it was, with other contents.
bool Functionaliser::leavesHistory(bf::AtenOp op, Value target) {
  bool unseen = op.getNoGrad();
  while (const View *view = memory.viewOf(target)) {
    bf::AtenOp op = view->op;
    unseen |= op.getSchema() == "aten::detach";
    target = view->parent;
  }
  bool gradientsFollow = gradientsAhead > 0 || gradientsElsewhere;
  TensorMemory::Tensors origins = memory.originsOf(target);
  return unseen && gradientsFollow &&
         llvm::any_of(origins, [&](Value origin) { return hasHistory(origin); });
}

Value Functionaliser::withHistory(Operation *at, Value before, Value contents) {
  AtenArg args[] = {{AtenArg::Operand{0}}, {AtenArg::Operand{1}}};
  return createAten(builder, at->getLoc(), "bifront::other_contents", args, {before, contents},
                    before.getType())
      .getResult(0);
}

// Those of the function's own block come in order; a loop's, and another function's, may come
// again.
void Functionaliser::findGradients() {
  Block &body = function.getBody().front();
  gradientsAhead = llvm::count_if(body, llvm::IsaPred<bf::GradOp>);
  Operation *all = isEntry ? function : function->getParentOp();
  all->walk([&](bf::GradOp grad) { gradientsElsewhere |= grad->getBlock() != &body; });
}

LogicalResult Functionaliser::rewriteWrite(bf::AtenOp op, ArrayRef<uint32_t> written) {
  SmallVector<Value> recorded(op.getInputs());
  for (uint32_t operand : written)
    if (failed(checkWritable(op, recorded[operand])))
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
    if (failed(write(op, recorded[0], contents, leavesHistory(op, recorded[0]))))
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
      if (failed(write(op, recorded[operand], functional.getResult(own + i),
                       leavesHistory(op, recorded[operand]))))
        return failure();
  }
  // A result that is the written tensor itself goes by its name from here on.
  for (auto [result, operand] : aliases)
    op.getResult(result).replaceAllUsesWith(recorded[operand]);
  for (Value result : op.getResults())
    if (!result.use_empty())
      return op.emitError() << "a result that shares memory in an unknown way";
  retired.add(op);
  return success();
}

// Views just made are of their base's contents as they are now.
void Functionaliser::holdCurrent(bf::AtenOp op) {
  for (Value result : op.getResults())
    if (memory.viewOf(result))
      if (auto version = state.versions.find(memory.baseOf(result));
          version != state.versions.end())
        state.held[result] = {result, version->second};
}

LogicalResult Functionaliser::visitCall(bf::AtenOp op) {
  std::vector<uint32_t> written = writtenOperands(op);
  if (!written.empty())
    return rewriteWrite(op, written);
  Value viewed = op.getInputs().empty() ? Value() : op->getOperand(0);
  useContents(op);
  StringRef schema = op.getSchema();
  if (schema == "aten::view" || schema == "aten::_unsafe_view") {
    // New contents need not lie in memory as the old ones did; reshape copies where it must.
    if (op->getOperand(0) != viewed || !memory.isOneTensor(memory.baseOf(viewed)))
      op.setSchema("aten::reshape");
  }
  holdCurrent(op);
  return success();
}

// A function is made for arguments that share no memory, where it writes them.
LogicalResult Functionaliser::checkApart(func::CallOp op, ValueRange operands, unsigned written) {
  for (auto [number, operand] : llvm::enumerate(operands)) {
    if (number == written || !isa<RankedTensorType>(operand.getType()))
      continue;
    if (times.mayShare(memory.baseOf(operand), memory.baseOf(operands[written])))
      return op.emitError() << "the function that is called writes its argument " << written
                            << ", which may share memory with its argument " << number;
  }
  return success();
}

LogicalResult Functionaliser::visitFunctionCall(func::CallOp op) {
  SmallVector<Value> recorded(op.getOperands());
  func::FuncOp callee = memory.calleeOf(op);
  ArrayRef<unsigned> written = callee ? memory.writtenArguments(callee) : ArrayRef<unsigned>();
  for (unsigned number : written)
    if (failed(checkWritable(op, recorded[number])) || failed(checkApart(op, recorded, number)))
      return failure();
  useContents(op);
  builder.setInsertionPointAfter(op);
  for (auto [number, contents] : llvm::zip(written, op.getResults().take_back(written.size())))
    if (failed(write(op, recorded[number], contents)))
      return failure();
  return success();
}

LogicalResult Functionaliser::visitIf(scf::IfOp op) {
  SmallVector<Value> written = memory.writtenInside(op);
  const State before = state;
  const WriteTimes::Writes writesBefore = times.writes();
  WriteTimes::Writes writesOfThen;
  for (Region &region : op->getRegions()) {
    if (!region.empty() && failed(visit(region.front())))
      return failure();
    state = before;
    if (&region == &op.getThenRegion()) {
      writesOfThen = times.writes();
      times.setWrites(writesBefore);
    }
  }
  times.addWrites(writesOfThen);
  takeOver(written, op.getResults(), op.getLoc());
  return success();
}

LogicalResult Functionaliser::visitWhile(scf::WhileOp op) {
  SmallVector<Value> written = memory.writtenInside(op);
  useContents(op);
  const State before = state;
  times.enterLoop(op);
  for (Block *block : {op.getBeforeBody(), op.getAfterBody()}) {
    state = before;
    for (BlockArgument argument : block->getArguments())
      times.bind(argument);
    takeOver(written, block->getArguments(), op.getLoc());
    if (failed(visit(*block)))
      return failure();
  }
  state = before;
  takeOver(written, op.getResults(), op.getLoc());
  return success();
}

// An attribute names a tensor: what it holds in the end is what the tensor holds then.
LogicalResult Functionaliser::visitStoreAttr(bf::StoreAttrOp op) {
  if (!isEntry || op->getParentOp() != function)
    return op.emitError() << "an attribute is assigned in a branch, a loop or a function";
  bf::StoreAttrOp &last = attributes[{op.getTarget(), op.getName()}];
  if (last)
    overwritten.push_back(last);
  last = op;
  return success();
}

LogicalResult Functionaliser::visit(Operation *op) {
  if (auto call = dyn_cast<bf::AtenOp>(op))
    return visitCall(call);
  if (auto call = dyn_cast<func::CallOp>(op))
    return visitFunctionCall(call);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return visitIf(branch);
  if (auto loop = dyn_cast<scf::WhileOp>(op))
    return visitWhile(loop);
  if (auto store = dyn_cast<bf::StoreOp>(op)) {
    builder.setInsertionPoint(op);
    if (failed(write(op, store.getTarget(), contentsOf(store.getValue()))))
      return failure();
    op->erase();
    return success();
  }
  if (auto store = dyn_cast<bf::StoreAttrOp>(op))
    return visitStoreAttr(store);
  if (isa<func::ReturnOp>(op)) {
    if (failed(checkReturns(op)))
      return failure();
    emitStores(op);
    return success();
  }
  if (op->getNumRegions() != 0 && !isa<bf::PointwiseOp>(op))
    return op->emitError() << "'" << op->getName() << "' is not functionalised yet";
  gradientsAhead -= isa<bf::GradOp>(op) && op->getParentOp() == function;
  useContents(op);
  return success();
}

LogicalResult Functionaliser::visit(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    current = &op;
    SmallVector<Value> results(op.getResults());
    // A call that writes goes; its results are other names of what it writes.
    bool goes = isa<bf::AtenOp>(op) && !memory.writtenBy(&op).empty();
    if (failed(visit(&op)) || readsUnknown)
      return failure();
    if (!goes)
      for (Value result : results)
        times.bind(result);
  }
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
  auto objectOf = [&](Value tensor) {
    return memory.isOneTensor(memory.baseOf(tensor)) ? numberOf(tensor) : kUnknownTensor;
  };
  auto storageOf = [&](Value tensor) {
    Value base = memory.baseOf(tensor);
    return memory.isOneTensor(base) ? numberOf(base) : kUnknownTensor;
  };
  SmallVector<int32_t> objects, storages;
  for (Value tensor : terminator->getOperands()) {
    objects.push_back(objectOf(tensor));
    storages.push_back(storageOf(tensor));
  }
  terminator->setAttr(kObjectsAttr, builder.getDenseI32ArrayAttr(objects));
  terminator->setAttr(kStoragesAttr, builder.getDenseI32ArrayAttr(storages));
  for (auto &[key, store] : attributes) {
    if (!store.getValue())
      continue;
    store->setAttr(kObjectsAttr, builder.getDenseI32ArrayAttr(objectOf(store.getValue())));
    store->setAttr(kStoragesAttr, builder.getDenseI32ArrayAttr(storageOf(store.getValue())));
  }
}

// A view of an input shares its memory, also where it leaves the graph, which a value of the
// input's new contents does not. Of an input that is written it is taken before the store.
bool Functionaliser::isViewOfWritten(Value tensor) {
  if (!tensor || !isa<RankedTensorType>(tensor.getType()) || isArgument(tensor))
    return false;
  return llvm::any_of(memory.originsOf(memory.baseOf(tensor)), [&](Value origin) {
    return isArgument(origin) && writtenAt.contains(origin);
  });
}

LogicalResult Functionaliser::checkReturns(Operation *terminator) {
  if (!isEntry)
    return success();
  for (auto &[key, store] : attributes)
    if (isViewOfWritten(store.getValue()))
      return store.emitError() << "a view of a tensor from outside that is written is assigned";
  auto isOfOneOrAnother = [&](Value value) {
    return isViewOfWritten(value) && !isArgument(memory.baseOf(value));
  };
  if (llvm::any_of(terminator->getOperands(), isOfOneOrAnother))
    return terminator->emitError() << "a view of one of several written tensors is returned";
  return success();
}

// A view that was written is a value of its own here. Where its base leaves the graph as well, or
// another view of that, the program finds one memory: the view is taken again of what that holds.
void Functionaliser::shareAgain(Operation *terminator) {
  SmallVector<Value> leaving(terminator->getOperands());
  for (auto &[key, store] : attributes)
    if (store.getValue())
      leaving.push_back(store.getValue());
  llvm::erase_if(leaving, [](Value value) { return !isa<RankedTensorType>(value.getType()); });
  DenseMap<Value, DenseSet<Value>> ofBase;
  for (Value tensor : leaving)
    ofBase[memory.baseOf(tensor)].insert(tensor);
  for (Value tensor : leaving)
    if (ofBase.find(memory.baseOf(tensor))->second.size() > 1)
      for (; const View *view = memory.viewOf(tensor); tensor = view->parent)
        state.held.erase(tensor);
}

void Functionaliser::emitStores(Operation *terminator) {
  noteIdentities(terminator);
  if (isEntry)
    shareAgain(terminator);
  builder.setInsertionPoint(terminator);
  // The program's tensors are returned and assigned as what they are, others as contents.
  auto finally = [&](Value tensor) {
    bool keeps = (isEntry && isArgument(tensor)) || !isa<RankedTensorType>(tensor.getType());
    return keeps ? tensor : contentsOf(tensor);
  };
  for (OpOperand &operand : terminator->getOpOperands()) {
    bool isAlias = isEntry && isViewOfWritten(operand.get());
    operand.set(isAlias ? asMade(operand.get()) : finally(operand.get()));
  }
  if (!isEntry)
    return;
  for (BlockArgument argument : function.getArguments()) {
    auto contents = state.held.find(argument);
    if (contents != state.held.end() && contents->second.value != argument)
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
  Block &body = function.getBody().front();
  findGradients();
  if (failed(visit(body)))
    return failure();
  for (Operation *op : overwritten)
    retired.add(op);
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

// Only the graph itself stores into the program's tensors: what it calls by its own name is a copy.
static void separateEntry(ModuleOp module) {
  auto functions = module.getOps<func::FuncOp>();
  if (functions.empty())
    return;
  func::FuncOp entry = *functions.begin();
  auto calls = SymbolTable::getSymbolUses(entry, module);
  if (!calls || calls->empty())
    return;
  func::FuncOp copy = entry.clone();
  copy.setPrivate();
  SymbolTable(module).insert(copy);
  (void)SymbolTable::replaceAllSymbolUses(entry, copy.getSymNameAttr(), module);
}

static LogicalResult checkBlocks(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isDeclaration() && !function.getBody().hasOneBlock())
      return function.emitError() << "a function of several blocks is not functionalised";
  return success();
}

LogicalResult functionalise(ModuleOp module) {
  if (failed(checkBlocks(module)))
    return failure();
  separateEntry(module);
  uniteNames(module);
  carryWrites(module);
  TensorMemory memory(module);
  Retired retired;
  llvm::SmallPtrSet<Operation *, 8> called;
  module.walk([&](func::CallOp call) { called.insert(memory.calleeOf(call)); });
  auto isEntry = [&](func::FuncOp function) {
    return !function.isPrivate() && !called.contains(function);
  };
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isDeclaration() &&
        failed(Functionaliser(function, memory, retired, isEntry(function)).run()))
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
