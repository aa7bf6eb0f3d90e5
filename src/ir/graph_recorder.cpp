#include "ir/graph_recorder.h"

#include "ir/arithmetic.h"
#include "ir/aten_op.h"
#include "ir/scalar_semantics.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

#include <map>
#include <stdexcept>

using namespace mlir;

namespace bifront {

class GraphRecorder::Block {
public:
  Region region;
  std::vector<std::pair<ValueId, Value>> values; // made in it
  SmallVector<Value> first;                      // of its arguments
};

struct GraphRecorder::State {
  explicit State(MLIRContext &context) : builder(&context) {}

  ValueId add(Value value) {
    values.push_back(value);
    if (!open.empty())
      open.back()->values.emplace_back(values.size() - 1, value);
    return values.size() - 1;
  }

  std::vector<ValueId> addAll(ValueRange added) {
    std::vector<ValueId> ids;
    for (Value value : added)
      ids.push_back(add(value));
    return ids;
  }

  // An input is a value everywhere, wherever the program met it first.
  ValueId addEverywhere(Value value) {
    values.push_back(value);
    return values.size() - 1;
  }

  Value valueOf(ValueId id) const {
    if (!values.at(id))
      throw std::logic_error("a value of a branch or a loop is used outside of it");
    return values[id];
  }

  SmallVector<Value> valuesOf(std::span<const ValueId> ids) const {
    SmallVector<Value> found;
    for (ValueId id : ids)
      found.push_back(valueOf(id));
    return found;
  }

  void recordInto(mlir::Block &block) { builder.setInsertionPointToEnd(&block); }

  void show(const Block &block) {
    for (const auto &[id, value] : block.values)
      values[id] = value;
  }
  void hide(const Block &block) {
    for (const auto &[id, value] : block.values)
      values[id] = {};
  }

  SmallVector<Value> valuesIn(const Block &block, std::span<const ValueId> ids) {
    show(block);
    SmallVector<Value> found = valuesOf(ids);
    hide(block);
    return found;
  }

  // Ends `block` with a terminator that the caller makes, and gives its body to `region`.
  template <typename Terminate>
  void close(Block &block, Region &region, const Terminate &terminate) {
    OpBuilder::InsertionGuard guard(builder);
    recordInto(block.region.front());
    terminate();
    region.takeBody(block.region);
  }

  void end(func::FuncOp of, OpBuilder &at, ValueRange returned) const;
  void eraseUnusedFunctions();

  OpBuilder builder;
  OwningOpRef<ModuleOp> module;
  func::FuncOp function;
  Location loc = UnknownLoc::get(builder.getContext());
  std::vector<Value> values; // null: of a block that is not open
  std::vector<BlockPtr> open;
  std::map<std::string, SmallVector<Value>, std::less<>> functions; // what they use from outside
  // Set when the graph is finished: each change of the function's own list copies all of it.
  std::vector<SmallVector<NamedAttribute>> inputAttrs;
};

void GraphRecorder::State::end(func::FuncOp of, OpBuilder &at, ValueRange returned) const {
  func::ReturnOp::create(at, loc, returned);
  of.setType(at.getFunctionType(of.front().getArgumentTypes(), returned.getTypes()));
  SmallVector<DictionaryAttr> attrs;
  for (const SmallVector<NamedAttribute> &input : inputAttrs)
    attrs.push_back(at.getDictionaryAttr(input));
  of.setAllArgAttrs(attrs);
}

GraphRecorder::GraphRecorder(MLIRContext &context, std::string_view name) {
  loadDialects(context);
  state = std::make_unique<State>(context);
  OpBuilder &builder = state->builder;
  state->module = ModuleOp::create(builder, state->loc);
  builder.setInsertionPointToStart(state->module->getBody());
  state->function =
      func::FuncOp::create(builder, state->loc, StringRef(name), builder.getFunctionType({}, {}));
  builder.setInsertionPointToStart(state->function.addEntryBlock());
}

GraphRecorder::~GraphRecorder() = default;

ValueId GraphRecorder::addInput(const ValueType &type, std::string_view name, bool requiresGrad) {
  MLIRContext *context = state->builder.getContext();
  Type mlirType = mlirTypeOf(context, type);
  SmallVector<NamedAttribute> attrs;
  if (!name.empty())
    attrs.emplace_back("bf.name", StringAttr::get(context, StringRef(name)));
  if (requiresGrad)
    attrs.emplace_back("bf.requires_grad", UnitAttr::get(context));
  if (!type.tensor.order.empty())
    attrs.push_back(orderAttr(context, type.tensor.order));
  state->inputAttrs.push_back(std::move(attrs));
  return state->addEverywhere(state->function.front().addArgument(mlirType, state->loc));
}

void GraphRecorder::aliasInput(ValueId input, ValueId other) {
  auto argument = cast<BlockArgument>(state->values.at(input));
  auto target = cast<BlockArgument>(state->values.at(other));
  // Read by functionalisation, which knows it as kAliasOfAttr.
  state->inputAttrs[argument.getArgNumber()].push_back(state->builder.getNamedAttr(
      "bf.alias_of", state->builder.getI64IntegerAttr(target.getArgNumber())));
}

std::vector<ValueId> GraphRecorder::aten(const AtenCall &call, std::span<const ValueId> operands,
                                         std::span<const ValueType> results, bool noGrad) {
  MLIRContext *context = state->builder.getContext();
  SmallVector<Type> types;
  for (const ValueType &result : results) {
    if (result.kind == ValueType::Kind::TensorList)
      for (const TensorType &tensor : result.tensors)
        types.push_back(mlirTypeOf(context, tensor));
    else
      types.push_back(mlirTypeOf(context, result));
  }
  SmallVector<int32_t> written(call.written.begin(), call.written.end());
  auto op = createAten(state->builder, state->loc, call.schema, call.args,
                       state->valuesOf(operands), types, written, noGrad);
  unsigned next = 0;
  auto setNextOrder = [&](const TensorType &type) { setOrder(op->getResult(next++), type.order); };
  for (const ValueType &result : results) {
    if (result.kind != ValueType::Kind::TensorList)
      setNextOrder(result.tensor);
    else
      for (const TensorType &tensor : result.tensors)
        setNextOrder(tensor);
  }
  return state->addAll(op->getResults());
}

ValueId GraphRecorder::dim(ValueId tensor, int64_t index) {
  return state->add(state->builder.createOrFold<bf::DimOp>(
      state->loc, state->builder.getI64Type(), state->valueOf(tensor),
      state->builder.getI64IntegerAttr(index)));
}

ValueId GraphRecorder::size(ValueId number, const Dim &worlds) {
  return state->add(bf::SizeOp::create(
      state->builder, state->loc, state->builder.getI64Type(), state->valueOf(number),
      state->builder.getDenseI64ArrayAttr({worlds.world[0], worlds.world[1]})));
}

ValueId GraphRecorder::constantInt(int64_t value) {
  return state->add(arith::ConstantOp::create(state->builder, state->loc,
                                              state->builder.getI64IntegerAttr(value)));
}

ValueId GraphRecorder::constantFloat(double value) {
  return state->add(
      arith::ConstantOp::create(state->builder, state->loc, state->builder.getF64FloatAttr(value)));
}

ValueId GraphRecorder::constantBool(bool value) {
  return state->add(
      arith::ConstantOp::create(state->builder, state->loc, state->builder.getBoolAttr(value)));
}

ValueId GraphRecorder::scalar(ScalarOp op, std::span<const ValueId> operands) {
  return state->add(emitScalarOp(state->builder, state->loc, op, state->valuesOf(operands)));
}

void GraphRecorder::assertTrue(ValueId condition, std::string_view message) {
  bf::AssertOp::create(state->builder, state->loc, state->valueOf(condition), StringRef(message));
}

void GraphRecorder::decide(ValueId value, int64_t outcome) {
  bf::DecideOp::create(state->builder, state->loc, state->valueOf(value),
                       state->builder.getI64IntegerAttr(outcome));
}

//===- Blocks ------------------------------------------------------------------------------===//

std::vector<ValueId> GraphRecorder::enterBlock(std::span<const ValueId> first) {
  SmallVector<Value> firstValues = state->valuesOf(first);
  state->open.push_back(BlockPtr(new Block, [](Block *block) { delete block; }));
  mlir::Block &block = state->open.back()->region.emplaceBlock();
  std::vector<ValueId> ids;
  for (Value value : firstValues)
    ids.push_back(state->add(block.addArgument(value.getType(), state->loc)));
  state->open.back()->first = std::move(firstValues);
  state->recordInto(block);
  return ids;
}

GraphRecorder::BlockPtr GraphRecorder::leaveBlock() {
  BlockPtr left = std::move(state->open.back());
  state->open.pop_back();
  state->hide(*left);
  state->recordInto(state->open.empty() ? state->function.front()
                                        : state->open.back()->region.front());
  return left;
}

void GraphRecorder::reenterBlock(BlockPtr block) {
  state->show(*block);
  state->recordInto(block->region.front());
  state->open.push_back(std::move(block));
}

std::vector<ValueId> GraphRecorder::branch(ValueId condition, BlockPtr then,
                                           std::span<const ValueId> thenValues, BlockPtr otherwise,
                                           std::span<const ValueId> otherwiseValues) {
  OpBuilder &builder = state->builder;
  SmallVector<Value> thenYields = state->valuesIn(*then, thenValues);
  SmallVector<Value> otherYields = state->valuesIn(*otherwise, otherwiseValues);
  if (ValueRange(thenYields).getTypes() != ValueRange(otherYields).getTypes())
    throw std::logic_error("the two ways of a branch end with values of other types");
  auto op = scf::IfOp::create(builder, state->loc, ValueRange(thenYields).getTypes(),
                              state->valueOf(condition), /*addThenBlock=*/false,
                              /*addElseBlock=*/false);
  state->close(*then, op.getThenRegion(),
               [&] { scf::YieldOp::create(builder, state->loc, thenYields); });
  state->close(*otherwise, op.getElseRegion(),
               [&] { scf::YieldOp::create(builder, state->loc, otherYields); });
  return state->addAll(op.getResults());
}

std::vector<ValueId> GraphRecorder::loop(std::span<const ValueId> initial, BlockPtr header,
                                         ValueId goesOn, BlockPtr body,
                                         std::span<const ValueId> next) {
  OpBuilder &builder = state->builder;
  SmallVector<Value> starts = state->valuesOf(initial);
  Value condition = state->valuesIn(*header, {&goesOn, 1})[0];
  SmallVector<Value> yields = state->valuesIn(*body, next);
  auto op = scf::WhileOp::create(builder, state->loc, ValueRange(starts).getTypes(), starts);
  state->close(*header, op.getBefore(), [&] {
    scf::ConditionOp::create(builder, state->loc, condition, header->region.getArguments());
  });
  state->close(*body, op.getAfter(), [&] { scf::YieldOp::create(builder, state->loc, yields); });
  return state->addAll(op.getResults());
}

//===- Functions ---------------------------------------------------------------------------===//

std::string GraphRecorder::newFunction(std::string_view name) {
  std::string unique = std::string(name) + "." + std::to_string(state->functions.size());
  state->functions.emplace(unique, SmallVector<Value>());
  return unique;
}

std::vector<ValueId> GraphRecorder::callItself(std::string_view function,
                                               std::span<const ValueId> operands,
                                               std::span<const ValueType> results) {
  MLIRContext *context = state->builder.getContext();
  SmallVector<Type> types;
  for (const ValueType &result : results)
    types.push_back(mlirTypeOf(context, result));
  auto op = func::CallOp::create(state->builder, state->loc, StringRef(function), types,
                                 state->valuesOf(operands));
  return state->addAll(op.getResults());
}

// Blocks that are being recorded are in regions of no op, which MLIR's own question cannot take.
static bool isInside(const Region &region, Region *inner) {
  while (inner && inner != &region)
    inner = inner->getParentOp() ? inner->getParentOp()->getParentRegion() : nullptr;
  return inner;
}

static void replaceUsesIn(Region &region, Value value, Value replacement) {
  value.replaceUsesWithIf(replacement, [&](OpOperand &use) {
    return isInside(region, use.getOwner()->getParentRegion());
  });
}

void GraphRecorder::defineFunction(std::string_view function, BlockPtr body,
                                   std::span<const ValueId> returns) {
  OpBuilder &builder = state->builder;
  OpBuilder::InsertionGuard guard(builder);
  SmallVector<Value> returned = state->valuesIn(*body, returns);
  Region &region = body->region;
  mlir::Block &block = region.front();
  builder.setInsertionPointToEnd(&block);
  func::ReturnOp::create(builder, state->loc, returned);
  llvm::SetVector<Value> outside;
  region.walk([&](Operation *op) {
    for (Value operand : op->getOperands())
      if (!isInside(region, operand.getParentRegion()))
        outside.insert(operand);
  });
  SmallVector<Value> &captured = state->functions.find(function)->second;
  SmallVector<Value> handed; // as the body has them
  for (Value value : outside) {
    if (auto constant = value.getDefiningOp<arith::ConstantOp>()) {
      builder.setInsertionPointToStart(&block);
      replaceUsesIn(region, value, builder.clone(*constant)->getResult(0));
      continue;
    }
    captured.push_back(value);
    handed.push_back(block.addArgument(value.getType(), state->loc));
    replaceUsesIn(region, value, handed.back());
  }
  region.walk([&](func::CallOp call) {
    if (call.getCallee() == StringRef(function))
      call->insertOperands(call->getNumOperands(), handed);
  });
  builder.setInsertionPointToEnd(state->module->getBody());
  auto made = func::FuncOp::create(
      builder, state->loc, StringRef(function),
      builder.getFunctionType(block.getArgumentTypes(), block.getTerminator()->getOperandTypes()));
  made.setPrivate();
  made.getBody().takeBody(region);
}

std::vector<ValueId> GraphRecorder::callFunction(std::string_view function,
                                                 std::span<const ValueId> operands) {
  SmallVector<Value> all = state->valuesOf(operands);
  llvm::append_range(all, state->functions.find(function)->second);
  auto callee = state->module->lookupSymbol<func::FuncOp>(StringRef(function));
  auto op = func::CallOp::create(state->builder, state->loc, callee, all);
  return state->addAll(op.getResults());
}

// Those whose callers were let go.
void GraphRecorder::State::eraseUnusedFunctions() {
  for (bool erased = true; erased;) {
    erased = false;
    for (auto candidate : llvm::make_early_inc_range(module->getOps<func::FuncOp>())) {
      bool isCalled = candidate == function;
      module->walk([&](func::CallOp call) {
        isCalled |= call.getCallee() == candidate.getSymName() &&
                    call->getParentOfType<func::FuncOp>() != candidate;
      });
      if (isCalled)
        continue;
      candidate.erase();
      erased = true;
    }
  }
}

bool GraphRecorder::isUsable(ValueId value) const {
  return value < state->values.size() && state->values[value];
}

//===- Python objects ----------------------------------------------------------------------===//

ValueId GraphRecorder::readAttribute(ValueId object, std::string_view name, ValueId type) {
  return state->add(bf::ReadAttrOp::create(
      state->builder, state->loc, bf::ObjectType::get(state->builder.getContext()),
      state->valueOf(object), StringRef(name), state->valueOf(type)));
}

ValueId GraphRecorder::readItem(ValueId object, ValueId index) {
  return state->add(bf::ReadItemOp::create(state->builder, state->loc,
                                           bf::ObjectType::get(state->builder.getContext()),
                                           state->valueOf(object), state->valueOf(index)));
}

ValueId GraphRecorder::hasItem(ValueId dict, ValueId key) {
  return state->add(bf::HasItemOp::create(state->builder, state->loc, state->builder.getI1Type(),
                                          state->valueOf(dict), state->valueOf(key)));
}

ValueId GraphRecorder::lengthOf(ValueId object) {
  return state->add(bf::LengthOp::create(state->builder, state->loc, state->builder.getI64Type(),
                                         state->valueOf(object)));
}

ValueId GraphRecorder::unbox(ValueId object, const ValueType &as, std::span<const ValueId> sizes) {
  Type type = mlirTypeOf(state->builder.getContext(), as);
  SmallVector<Value> ofDims;
  for (ValueId size : sizes)
    ofDims.push_back(state->valueOf(size));
  return state->add(
      bf::UnboxOp::create(state->builder, state->loc, type, state->valueOf(object), ofDims));
}

ValueId GraphRecorder::isMethod(ValueId object, std::string_view name, ValueId type,
                                ValueId function) {
  return state->add(bf::IsMethodOp::create(state->builder, state->loc, state->builder.getI1Type(),
                                           state->valueOf(object), StringRef(name),
                                           state->valueOf(type), state->valueOf(function)));
}

ValueId GraphRecorder::isSame(ValueId left, ValueId right) {
  return state->add(bf::IsSameOp::create(state->builder, state->loc, state->builder.getI1Type(),
                                         state->valueOf(left), state->valueOf(right)));
}

ValueId GraphRecorder::isOfClass(ValueId object, ValueId type) {
  return state->add(bf::IsClassOp::create(state->builder, state->loc, state->builder.getI1Type(),
                                          state->valueOf(object), state->valueOf(type)));
}

ValueId GraphRecorder::isEqual(ValueId object, ValueId constant) {
  return state->add(bf::IsEqualOp::create(state->builder, state->loc, state->builder.getI1Type(),
                                          state->valueOf(object), state->valueOf(constant)));
}

ValueId GraphRecorder::callPython(std::string_view name, ValueId callee,
                                  std::span<const ValueId> operands,
                                  std::span<const std::string> keywords, std::string_view site) {
  SmallVector<StringRef> names(keywords.begin(), keywords.end());
  StringAttr siteOrNone = site.empty() ? StringAttr() : state->builder.getStringAttr(site);
  ArrayAttr namesOrNone = names.empty() ? ArrayAttr() : state->builder.getStrArrayAttr(names);
  return state->add(bf::PycallOp::create(
      state->builder, state->loc, bf::ObjectType::get(state->builder.getContext()), StringRef(name),
      state->valueOf(callee), state->valuesOf(operands), namesOrNone, siteOrNone));
}

namespace {

// Null where the value is another, or that of a block which is left.
IntegerAttr integerOf(Value value, unsigned width) {
  auto constant = value ? value.getDefiningOp<arith::ConstantOp>() : nullptr;
  bool is = constant && constant.getType().isInteger(width);
  return is ? cast<IntegerAttr>(constant.getValue()) : nullptr;
}

} // namespace

std::optional<bool> GraphRecorder::constantOf(ValueId value) const {
  IntegerAttr truth = integerOf(state->values.at(value), 1);
  return truth ? std::optional(truth.getValue().getBoolValue()) : std::nullopt;
}

std::optional<int64_t> GraphRecorder::constantIntOf(ValueId value) const {
  IntegerAttr number = integerOf(state->values.at(value), 64);
  return number ? std::optional(number.getInt()) : std::nullopt;
}

std::vector<ValueId> GraphRecorder::grad(std::span<const ValueId> outputs,
                                         std::span<const ValueId> seeds,
                                         std::span<const ValueId> wrt, bool createGraph) {
  SmallVector<Value> targets = state->valuesOf(wrt);
  SmallVector<Type> types;
  for (Value target : targets)
    types.push_back(target.getType());
  auto op = bf::GradOp::create(state->builder, state->loc, types, state->valuesOf(outputs),
                               state->valuesOf(seeds), targets, createGraph);
  return state->addAll(op.getResults());
}

std::vector<ValueId> GraphRecorder::reached(std::span<const ValueId> outputs,
                                            std::span<const ValueId> wrt) {
  SmallVector<Type> types(wrt.size(), state->builder.getI1Type());
  auto op = bf::ReachedOp::create(state->builder, state->loc, types, state->valuesOf(outputs),
                                  state->valuesOf(wrt));
  return state->addAll(op.getResults());
}

void GraphRecorder::storeAttr(ValueId target, std::string_view name, std::optional<ValueId> value) {
  bf::StoreAttrOp::create(state->builder, state->loc, state->valueOf(target), StringRef(name),
                          value ? state->valueOf(*value) : Value());
}

void GraphRecorder::setLocation(const SourceLine &line) {
  MLIRContext *context = state->builder.getContext();
  state->loc = line.file.empty() ? Location(UnknownLoc::get(context))
                                 : Location(FileLineColLoc::get(context, line.file, line.line, 0));
}

ValueType GraphRecorder::typeOf(ValueId value) const {
  return valueTypeOf(state->valueOf(value).getType());
}

ValueId GraphRecorder::numValues() const { return state->values.size(); }

size_t GraphRecorder::numInputs() const { return state->inputAttrs.size(); }

namespace {

bool isInput(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && isa_and_nonnull<func::FuncOp>(argument.getOwner()->getParentOp());
}

using Ops = llvm::SetVector<Operation *>;

bool addArithmetic(Value number, Ops &ops);

// Adds the views that the tensor is, whose sizes stay when somebody writes its memory.
bool addViews(Value tensor, Ops &ops) {
  auto view = tensor.getDefiningOp<bf::AtenOp>();
  if (!view)
    return isInput(tensor);
  if (opRow(view.getSchema()).kind != OpKind::View || !writtenOperands(view).empty())
    return false;
  for (Value operand : view.getInputs())
    if (isa<RankedTensorType>(operand.getType()) ? !addViews(operand, ops)
                                                 : !addArithmetic(operand, ops))
      return false;
  ops.insert(view);
  return true;
}

// Adds the ops that a number follows from, in their order; false where these are more than
// arithmetic on numbers and on sizes of the function's arguments, or of views of them.
bool addArithmetic(Value number, Ops &ops) {
  Operation *op = number.getDefiningOp();
  if (!op)
    return isInput(number);
  if (ops.contains(op))
    return true;
  if (!bifront::isArithmetic(op))
    return false;
  for (Value operand : op->getOperands())
    if (isa<bf::DimOp>(op) ? !addViews(operand, ops) : !addArithmetic(operand, ops))
      return false;
  ops.insert(op);
  return true;
}

} // namespace

bool GraphRecorder::isArithmetic(ValueId number) const {
  Ops ops;
  return addArithmetic(state->valueOf(number), ops);
}

ModuleOp GraphRecorder::upTo(ValueId value) const {
  Ops arithmetic;
  IRMapping copies;
  if (addArithmetic(state->valueOf(value), arithmetic)) {
    ModuleOp copy = ModuleOp::create(state->function.getLoc());
    auto function = cast<func::FuncOp>(state->function->cloneWithoutRegions(copies));
    copy.push_back(function);
    mlir::Block &body = function.getBody().emplaceBlock();
    for (BlockArgument input : state->function.front().getArguments())
      copies.map(input, body.addArgument(input.getType(), state->loc));
    OpBuilder builder = OpBuilder::atBlockEnd(&body);
    for (Operation *op : arithmetic)
      builder.clone(*op, copies);
    state->end(function, builder, copies.lookup(state->valueOf(value)));
    return copy;
  }
  auto copy = cast<ModuleOp>((*state->module)->clone(copies));
  auto function = *copy.getOps<func::FuncOp>().begin();
  OpBuilder builder = OpBuilder::atBlockEnd(&function.front());
  for (const BlockPtr &block : state->open) {
    for (auto [argument, first] : llvm::zip_equal(block->region.getArguments(), block->first))
      copies.map(argument, copies.lookup(first));
    for (Operation &op : block->region.front())
      builder.clone(op, copies);
  }
  state->end(function, builder, copies.lookup(state->valueOf(value)));
  return copy;
}

mlir::Block &GraphRecorder::recordedOps() const { return state->function.front(); }

mlir::Value GraphRecorder::recordedValue(ValueId value) const { return state->valueOf(value); }

std::vector<GraphRecorder::OpenBlock> GraphRecorder::openBlocks() const {
  std::vector<OpenBlock> blocks;
  for (const BlockPtr &block : state->open)
    blocks.push_back({&block->region.front(), {block->first.begin(), block->first.end()}});
  return blocks;
}

ModuleOp GraphRecorder::finish(std::span<const ValueId> returns) {
  // What an error has left open uses values of the function, of which the caller may drop some.
  while (!state->open.empty())
    leaveBlock();
  state->end(state->function, state->builder, state->valuesOf(returns));
  state->eraseUnusedFunctions();
  return state->module.release();
}

} // namespace bifront
