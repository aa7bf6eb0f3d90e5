#include "ir/graph_recorder.h"

#include "ir/aten_op.h"
#include "ir/scalar_semantics.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"

#include <stdexcept>

using namespace mlir;

namespace bifront {

struct GraphRecorder::State {
  explicit State(MLIRContext &context) : builder(&context) {}

  ValueId add(Value value) {
    values.push_back(value);
    return values.size() - 1;
  }

  SmallVector<Value> valuesOf(std::span<const ValueId> ids) const {
    SmallVector<Value> found;
    for (ValueId id : ids)
      found.push_back(values.at(id));
    return found;
  }

  void end(func::FuncOp of, OpBuilder &at, ValueRange returned) const;

  OpBuilder builder;
  OwningOpRef<ModuleOp> module;
  func::FuncOp function;
  Location loc = UnknownLoc::get(builder.getContext());
  std::vector<Value> values;
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
  return state->add(state->function.front().addArgument(mlirType, state->loc));
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
  std::vector<ValueId> ids;
  auto setNextOrder = [&](const TensorType &type) {
    setOrder(op->getResult(ids.size()), type.order);
    ids.push_back(state->add(op->getResult(ids.size())));
  };
  for (const ValueType &result : results) {
    if (result.kind != ValueType::Kind::TensorList)
      setNextOrder(result.tensor);
    else
      for (const TensorType &tensor : result.tensors)
        setNextOrder(tensor);
  }
  while (ids.size() < op->getNumResults())
    ids.push_back(state->add(op->getResult(ids.size())));
  return ids;
}

ValueId GraphRecorder::dim(ValueId tensor, int64_t index) {
  return state->add(state->builder.createOrFold<bf::DimOp>(
      state->loc, state->builder.getI64Type(), state->values.at(tensor),
      state->builder.getI64IntegerAttr(index)));
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
  bf::AssertOp::create(state->builder, state->loc, state->values.at(condition), StringRef(message));
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
  std::vector<ValueId> ids;
  for (Value result : op.getResults())
    ids.push_back(state->add(result));
  return ids;
}

void GraphRecorder::storeAttr(ValueId target, std::string_view name, std::optional<ValueId> value) {
  bf::StoreAttrOp::create(state->builder, state->loc, state->values.at(target), StringRef(name),
                          value ? state->values.at(*value) : Value());
}

void GraphRecorder::setLocation(const SourceLine &line) {
  MLIRContext *context = state->builder.getContext();
  state->loc = line.file.empty() ? Location(UnknownLoc::get(context))
                                 : Location(FileLineColLoc::get(context, line.file, line.line, 0));
}

ValueType GraphRecorder::typeOf(ValueId value) const {
  return valueTypeOf(state->values.at(value).getType());
}

size_t GraphRecorder::numInputs() const { return state->inputAttrs.size(); }

ModuleOp GraphRecorder::upTo(ValueId value) const {
  IRMapping copies;
  auto copy = cast<ModuleOp>((*state->module)->clone(copies));
  auto function = *copy.getOps<func::FuncOp>().begin();
  OpBuilder builder = OpBuilder::atBlockEnd(&function.front());
  state->end(function, builder, copies.lookup(state->values.at(value)));
  return copy;
}

ModuleOp GraphRecorder::finish(std::span<const ValueId> returns) {
  state->end(state->function, state->builder, state->valuesOf(returns));
  return state->module.release();
}

} // namespace bifront
