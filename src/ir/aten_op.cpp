#include "ir/aten_op.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/ADT/TypeSwitch.h"

#include <stdexcept>

using namespace mlir;

namespace bifront {

//===- Arguments ---------------------------------------------------------------------------===//

static Attribute encodeArg(MLIRContext *context, const AtenArg &arg) {
  Builder builder(context);
  auto encode = [&](const auto &value) -> Attribute {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, AtenArg::None>)
      return bf::NoneAttr::get(context);
    else if constexpr (std::is_same_v<T, AtenArg::Operand>)
      return builder.getUnitAttr();
    else if constexpr (std::is_same_v<T, bool>)
      return builder.getBoolAttr(value);
    else if constexpr (std::is_same_v<T, int64_t>)
      return builder.getI64IntegerAttr(value);
    else if constexpr (std::is_same_v<T, double>)
      return builder.getF64FloatAttr(value);
    else if constexpr (std::is_same_v<T, std::complex<double>>)
      return bf::ComplexAttr::get(context, builder.getF64FloatAttr(value.real()),
                                  builder.getF64FloatAttr(value.imag()));
    else if constexpr (std::is_same_v<T, std::string>)
      return builder.getStringAttr(value);
    else
      return encodeArgs(context, value);
  };
  return std::visit(encode, arg.value);
}

ArrayAttr encodeArgs(MLIRContext *context, ArrayRef<AtenArg> args) {
  SmallVector<Attribute> attrs;
  attrs.reserve(args.size());
  for (const AtenArg &arg : args)
    attrs.push_back(encodeArg(context, arg));
  return ArrayAttr::get(context, attrs);
}

AtenArg decodeArg(Attribute attr, uint32_t &nextOperand) {
  if (isa<UnitAttr>(attr))
    return {AtenArg::Operand{nextOperand++}};
  if (isa<bf::NoneAttr>(attr))
    return {AtenArg::None{}};
  if (auto boolean = dyn_cast<BoolAttr>(attr))
    return {boolean.getValue()};
  if (auto integer = dyn_cast<IntegerAttr>(attr);
      integer && integer.getType().isSignlessInteger(64))
    return {integer.getInt()};
  if (auto number = dyn_cast<FloatAttr>(attr); number && number.getType().isF64())
    return {number.getValueAsDouble()};
  if (auto number = dyn_cast<bf::ComplexAttr>(attr))
    return {std::complex<double>(number.getReal().getValueAsDouble(),
                                 number.getImag().getValueAsDouble())};
  if (auto text = dyn_cast<StringAttr>(attr))
    return {text.str()};
  if (auto list = dyn_cast<ArrayAttr>(attr)) {
    AtenArg::List items;
    for (Attribute item : list)
      items.push_back(decodeArg(item, nextOperand));
    return {std::move(items)};
  }
  throw std::invalid_argument("an attribute that is no argument of an ATen call");
}

AtenCall callOf(bf::AtenOp op) {
  AtenCall call;
  call.schema = op.getSchema().str();
  uint32_t nextOperand = 0;
  for (Attribute attr : op.getArgs())
    call.args.push_back(decodeArg(attr, nextOperand));
  for (int32_t operand : op.getWrittenOperands())
    call.written.push_back(operand);
  return call;
}

bf::AtenOp createAten(OpBuilder &builder, Location loc, StringRef schema, ArrayRef<AtenArg> args,
                      ValueRange inputs, TypeRange results, ArrayRef<int32_t> written,
                      bool noGrad) {
  return bf::AtenOp::create(builder, loc, results, builder.getStringAttr(schema),
                            encodeArgs(builder.getContext(), args),
                            written.empty() ? nullptr : builder.getDenseI32ArrayAttr(written),
                            noGrad ? builder.getUnitAttr() : nullptr, inputs);
}

//===- Types -------------------------------------------------------------------------------===//

Type elementTypeOf(MLIRContext *context, DType dtype) {
  Builder builder(context);
  switch (dtype) {
  case DType::UInt8: return IntegerType::get(context, 8, IntegerType::Unsigned);
  case DType::Int8: return builder.getI8Type();
  case DType::Int16: return builder.getI16Type();
  case DType::Int32: return builder.getI32Type();
  case DType::Int64: return builder.getI64Type();
  case DType::Half: return builder.getF16Type();
  case DType::Float: return builder.getF32Type();
  case DType::Double: return builder.getF64Type();
  case DType::ComplexHalf: return ComplexType::get(builder.getF16Type());
  case DType::ComplexFloat: return ComplexType::get(builder.getF32Type());
  case DType::ComplexDouble: return ComplexType::get(builder.getF64Type());
  case DType::Bool: return builder.getI1Type();
  case DType::BFloat16: return builder.getBF16Type();
  }
  throw std::invalid_argument("a dtype that graphs do not have");
}

DType dtypeOf(Type type) {
  if (auto complex = dyn_cast<ComplexType>(type)) {
    Type part = complex.getElementType();
    if (part.isF16())
      return DType::ComplexHalf;
    if (part.isF32())
      return DType::ComplexFloat;
    if (part.isF64())
      return DType::ComplexDouble;
  }
  if (type.isF16())
    return DType::Half;
  if (type.isBF16())
    return DType::BFloat16;
  if (type.isF32())
    return DType::Float;
  if (type.isF64())
    return DType::Double;
  if (type.isUnsignedInteger(8))
    return DType::UInt8;
  if (type.isSignlessInteger(1))
    return DType::Bool;
  if (type.isSignlessInteger(8))
    return DType::Int8;
  if (type.isSignlessInteger(16))
    return DType::Int16;
  if (type.isSignlessInteger(32))
    return DType::Int32;
  if (type.isSignlessInteger(64))
    return DType::Int64;
  throw std::invalid_argument("an element type that tensors do not have");
}

static constexpr StringLiteral kOrderAttr = "bf.order";

void setOrder(OpResult value, ArrayRef<int64_t> order) {
  Operation *op = value.getOwner();
  auto orders = op->getAttrOfType<ArrayAttr>(kOrderAttr);
  if (order.empty() && !orders)
    return;
  Builder builder(op->getContext());
  SmallVector<Attribute> all(op->getNumResults(), builder.getDenseI64ArrayAttr({}));
  if (orders)
    llvm::copy(orders, all.begin());
  all[value.getResultNumber()] = builder.getDenseI64ArrayAttr(order);
  op->setAttr(kOrderAttr, builder.getArrayAttr(all));
}

NamedAttribute orderAttr(MLIRContext *context, ArrayRef<int64_t> order) {
  Builder builder(context);
  return builder.getNamedAttr(kOrderAttr, builder.getDenseI64ArrayAttr(order));
}

std::vector<int64_t> orderOf(Value value) {
  DenseI64ArrayAttr order;
  if (auto result = dyn_cast<OpResult>(value)) {
    if (auto orders = result.getOwner()->getAttrOfType<ArrayAttr>(kOrderAttr);
        orders && orders.size() == result.getOwner()->getNumResults())
      order = dyn_cast<DenseI64ArrayAttr>(orders[result.getResultNumber()]);
  } else if (auto function =
                 dyn_cast<func::FuncOp>(cast<BlockArgument>(value).getOwner()->getParentOp())) {
    order = function.getArgAttrOfType<DenseI64ArrayAttr>(cast<BlockArgument>(value).getArgNumber(),
                                                         kOrderAttr);
  }
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!order || !type || order.size() != type.getRank())
    return {};
  // Text may say anything: only a permutation will do.
  llvm::SmallBitVector seen(type.getRank());
  for (int64_t dim : order.asArrayRef()) {
    if (dim < 0 || dim >= type.getRank() || seen.test(dim))
      return {};
    seen.set(dim);
  }
  return order.asArrayRef().vec();
}

RankedTensorType mlirTypeOf(MLIRContext *context, const TensorType &type) {
  SmallVector<int64_t> shape, worlds;
  for (const Dim &dim : type.dims) {
    shape.push_back(dim.isDynamic() ? ShapedType::kDynamic : dim.world[0]);
    if (dim.isDynamic())
      worlds.append({dim.world[0], dim.world[1]});
  }
  StringRef device = type.device == "cpu" ? StringRef() : StringRef(type.device);
  Attribute encoding;
  if (!worlds.empty() || !device.empty())
    encoding = bf::TensorEncodingAttr::get(context, worlds, device);
  return RankedTensorType::get(shape, elementTypeOf(context, type.dtype), encoding);
}

Type mlirTypeOf(MLIRContext *context, const ValueType &type) {
  Builder builder(context);
  switch (type.kind) {
  case ValueType::Kind::Tensor: return mlirTypeOf(context, type.tensor);
  case ValueType::Kind::Int: return builder.getI64Type();
  case ValueType::Kind::Float: return builder.getF64Type();
  case ValueType::Kind::Bool: return builder.getI1Type();
  case ValueType::Kind::Complex: return ComplexType::get(builder.getF64Type());
  case ValueType::Kind::None: return builder.getNoneType();
  case ValueType::Kind::Object: return bf::ObjectType::get(context);
  case ValueType::Kind::Tape: return bf::TapeType::get(context);
  case ValueType::Kind::TensorList: {
    SmallVector<Type> types;
    for (const TensorType &tensor : type.tensors)
      types.push_back(mlirTypeOf(context, tensor));
    return TupleType::get(context, types);
  }
  }
  throw std::invalid_argument("a kind of value that graphs do not have");
}

static TensorType tensorTypeOf(RankedTensorType type) {
  TensorType result;
  result.dtype = dtypeOf(type.getElementType());
  auto encoding = dyn_cast_or_null<bf::TensorEncodingAttr>(type.getEncoding());
  if (encoding && !encoding.getDevice().empty())
    result.device = encoding.getDevice().str();
  size_t dynamic = 0;
  for (int64_t size : type.getShape()) {
    if (!ShapedType::isDynamic(size)) {
      result.dims.push_back(Dim::fixed(size));
    } else if (encoding) {
      ArrayRef<int64_t> world = encoding.getWorlds().slice(2 * dynamic++, 2);
      result.dims.push_back({{world[0], world[1]}});
    } else {
      result.dims.push_back({{-1, -2}});
    }
  }
  return result;
}

ValueType valueTypeOf(Type type) {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return ValueType::ofTensor(tensorTypeOf(tensor));
  if (isa<NoneType>(type))
    return ValueType::scalar(ValueType::Kind::None);
  if (isa<bf::ObjectType>(type))
    return ValueType::scalar(ValueType::Kind::Object);
  if (isa<bf::TapeType>(type))
    return ValueType::scalar(ValueType::Kind::Tape);
  if (isa<ComplexType>(type))
    return ValueType::scalar(ValueType::Kind::Complex);
  if (auto tuple = dyn_cast<TupleType>(type)) {
    ValueType list = ValueType::scalar(ValueType::Kind::TensorList);
    for (Type item : tuple)
      list.tensors.push_back(valueTypeOf(item).tensor);
    return list;
  }
  if (type.isSignlessInteger(1))
    return ValueType::scalar(ValueType::Kind::Bool);
  if (type.isSignlessInteger(64))
    return ValueType::scalar(ValueType::Kind::Int);
  if (type.isF64())
    return ValueType::scalar(ValueType::Kind::Float);
  throw std::invalid_argument("a type that graph values do not have");
}

bool haveSameShape(RankedTensorType a, RankedTensorType b) {
  if (a.getShape() != b.getShape())
    return false;
  if (a.hasStaticShape())
    return true;
  auto left = dyn_cast_or_null<bf::TensorEncodingAttr>(a.getEncoding());
  auto right = dyn_cast_or_null<bf::TensorEncodingAttr>(b.getEncoding());
  return left && right && left.getWorlds() == right.getWorlds();
}

mlir::Value createZeros(mlir::OpBuilder &builder, mlir::Location loc, mlir::RankedTensorType type) {
  TensorType plain = valueTypeOf(type).tensor;
  AtenArg::List sizes;
  for (int64_t size : type.getShape())
    sizes.push_back({size});
  AtenArg none{AtenArg::None{}}, device = plain.device == "cpu" ? none : AtenArg{plain.device};
  AtenArg args[] = {{std::move(sizes)}, {int64_t(plain.dtype)}, none, std::move(device), none};
  return createAten(builder, loc, "aten::zeros", args, {}, type, {}, true)->getResult(0);
}

//===- What a call does to its operands ----------------------------------------------------===//

AtenArgs::AtenArgs(bf::AtenOp op) : op(op), knownSchema(lookupSchema(op.getSchema())) {
  uint32_t nextOperand = 0;
  for (Attribute attr : op.getArgs())
    perArg.push_back(decodeArg(attr, nextOperand));
}

const AtenArg *AtenArgs::named(StringRef name) const {
  if (!knownSchema)
    return nullptr;
  std::optional<unsigned> index = knownSchema->argNamed(name);
  return index && *index < perArg.size() ? &perArg[*index] : nullptr;
}

Value AtenArgs::value(const AtenArg *arg) const {
  if (!arg)
    return {};
  auto *operand = std::get_if<AtenArg::Operand>(&arg->value);
  return operand ? bf::AtenOp(op).getInputs()[operand->index] : Value();
}

std::optional<int64_t> AtenArgs::intNamed(StringRef name) const {
  const AtenArg *arg = named(name);
  auto *value = arg ? std::get_if<int64_t>(&arg->value) : nullptr;
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<bool> AtenArgs::boolNamed(StringRef name) const {
  const AtenArg *arg = named(name);
  auto *value = arg ? std::get_if<bool>(&arg->value) : nullptr;
  return value ? std::optional(*value) : std::nullopt;
}

static void collectOperands(const AtenArg &arg, std::vector<uint32_t> &operands) {
  if (auto *operand = std::get_if<AtenArg::Operand>(&arg.value))
    operands.push_back(operand->index);
  else if (auto *list = std::get_if<AtenArg::List>(&arg.value))
    for (const AtenArg &item : *list)
      collectOperands(item, operands);
}

std::vector<uint32_t> AtenArgs::operandsOf(size_t index) const {
  std::vector<uint32_t> operands;
  collectOperands(perArg[index], operands);
  return operands;
}

std::vector<uint32_t> writtenOperands(bf::AtenOp op) {
  if (!op.getWrittenOperands().empty())
    return {};
  const Schema *schema = lookupSchema(op.getSchema());
  const OpRow &row = opRow(op.getSchema());
  if (!schema || (!schema->writesAny() && row.hiddenWrites.empty()))
    return {};
  AtenArgs args(op);
  std::vector<uint32_t> written;
  auto add = [&](size_t index) {
    for (uint32_t operand : args.operandsOf(index))
      if (isa<RankedTensorType>(op.getInputs()[operand].getType()))
        written.push_back(operand);
  };
  for (size_t i = 0; i < args.size() && i < schema->args.size(); ++i)
    if (schema->args[i].isWrite)
      add(i);
  // A flag that is not a constant may be true.
  if (!row.writesIf || args.boolNamed(row.writesIf).value_or(true))
    for (const char *name : row.hiddenWrites)
      if (std::optional<unsigned> index = schema->argNamed(name))
        add(*index);
  return written;
}

std::vector<std::pair<unsigned, uint32_t>> aliasedResults(bf::AtenOp op) {
  std::vector<std::pair<unsigned, uint32_t>> pairs;
  const Schema *schema = lookupSchema(op.getSchema());
  auto hasAlias = [](const SchemaArg &result) { return !result.alias.empty(); };
  if (!schema || std::ranges::none_of(schema->returns, hasAlias))
    return pairs;
  AtenArgs args(op);
  unsigned own = op.getNumOwnResults(), next = 0;
  for (const SchemaArg &result : schema->returns) {
    unsigned count = result.isList ? own - (schema->returns.size() - 1) : 1;
    for (size_t i = 0; !result.alias.empty() && i < args.size(); ++i) {
      if (i >= schema->args.size() || schema->args[i].alias != result.alias)
        continue;
      std::vector<uint32_t> operands = args.operandsOf(i);
      for (unsigned k = 0; k < count && next + k < own; ++k) {
        if (schema->args[i].isList && result.isList && k < operands.size())
          pairs.emplace_back(next + k, operands[k]);
        else if (!schema->args[i].isList && !operands.empty())
          pairs.emplace_back(next + k, operands[0]);
      }
    }
    next += count;
  }
  return pairs;
}

} // namespace bifront
