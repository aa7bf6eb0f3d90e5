#include "passes/pointwise_emitter.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace bifront {

PointwiseEmitter::PointwiseEmitter(OpBuilder &builder, bf::AtenOp op, ValueRange elements)
    : builder(builder), op(op), elements(elements), arguments(op), loc(op.getLoc()),
      result(dtypeOf(getElementTypeOrSelf(op.getResult(0).getType()))), compute(result) {}

void PointwiseEmitter::computeIn(DType dtype) { compute = dtype; }

static bool isHalf(DType dtype) { return dtype == DType::Half || dtype == DType::BFloat16; }

static Type bodyType(MLIRContext *context, DType dtype) {
  return bf::bodyTypeOf(elementTypeOf(context, dtype));
}

Type PointwiseEmitter::computeType() const {
  return bodyType(builder.getContext(), isHalf(compute) ? DType::Float : compute);
}

Value PointwiseEmitter::number(Type type, double value) {
  if (isa<FloatType>(type))
    return make<arith::ConstantOp>(builder.getFloatAttr(type, value));
  return make<arith::ConstantOp>(builder.getIntegerAttr(type, int64_t(value)));
}

Value PointwiseEmitter::number(double value) { return number(computeType(), value); }

Value PointwiseEmitter::truth(bool value) {
  return make<arith::ConstantOp>(builder.getBoolAttr(value));
}

Value PointwiseEmitter::convert(Value value, DType from, DType to) {
  if (from == to)
    return value;
  Type type = bodyType(builder.getContext(), to);
  if (to == DType::Bool) {
    Value zero = number(value.getType(), 0);
    if (isFloating(from))
      return make<arith::CmpFOp>(arith::CmpFPredicate::UNE, value, zero);
    return make<arith::CmpIOp>(arith::CmpIPredicate::ne, value, zero);
  }
  bool fromUnsigned = from == DType::UInt8 || from == DType::Bool;
  if (isFloating(from) && isFloating(to)) {
    // c10's halves convert through float, also to each other and from double.
    if (isHalf(from) && to != DType::Float)
      return convert(convert(value, from, DType::Float), DType::Float, to);
    if (isHalf(to) && from != DType::Float)
      return convert(convert(value, from, DType::Float), DType::Float, to);
    if (value.getType().getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
      return make<arith::ExtFOp>(type, value);
    return make<arith::TruncFOp>(type, value);
  }
  if (isFloating(to)) {
    if (isHalf(to))
      return convert(convert(value, from, DType::Float), DType::Float, to);
    return fromUnsigned ? make<arith::UIToFPOp>(type, value) : make<arith::SIToFPOp>(type, value);
  }
  if (isFloating(from)) {
    if (isHalf(from))
      return convert(convert(value, from, DType::Float), DType::Float, to);
    // As C++ on this hardware: narrow integers through a wider one.
    if (to == DType::Int64 || to == DType::Int32)
      return make<arith::FPToSIOp>(type, value);
    DType wide = to == DType::UInt8 ? DType::Int64 : DType::Int32;
    return convert(convert(value, from, wide), wide, to);
  }
  unsigned fromBits = value.getType().getIntOrFloatBitWidth(),
           toBits = type.getIntOrFloatBitWidth();
  if (fromBits == toBits)
    return value;
  if (fromBits > toBits)
    return make<arith::TruncIOp>(type, value);
  return fromUnsigned ? make<arith::ExtUIOp>(type, value) : make<arith::ExtSIOp>(type, value);
}

Value PointwiseEmitter::toCompute(Value value, DType dtype) {
  return isHalf(dtype) ? convert(value, dtype, DType::Float) : value;
}

Value PointwiseEmitter::toResult(Value computed) {
  return convert(computed, isHalf(compute) ? DType::Float : compute, result);
}

Value PointwiseEmitter::readArg(const AtenArg *arg) {
  if (!arg)
    return {};
  DType opmath = isHalf(compute) ? DType::Float : compute;
  if (auto *integer = std::get_if<int64_t>(&arg->value)) {
    Type type = computeType();
    if (compute == DType::Bool)
      return truth(*integer != 0);
    if (isFloating(compute))
      return make<arith::ConstantOp>(builder.getFloatAttr(type, double(*integer)));
    unsigned width = type.getIntOrFloatBitWidth();
    return make<arith::ConstantOp>(
        builder.getIntegerAttr(type, llvm::APInt(64, uint64_t(*integer), true).sextOrTrunc(width)));
  }
  if (auto *real = std::get_if<double>(&arg->value)) {
    if (isFloating(compute))
      return make<arith::ConstantOp>(builder.getFloatAttr(
          computeType(), opmath == DType::Float ? double(float(*real)) : *real));
    return compute == DType::Bool ? truth(*real != 0) : Value();
  }
  if (auto *boolean = std::get_if<bool>(&arg->value))
    return compute == DType::Bool ? truth(*boolean) : number(*boolean);
  auto *operand = std::get_if<AtenArg::Operand>(&arg->value);
  if (!operand)
    return {};
  Type type = op.getInputs()[operand->index].getType();
  Value element = elements[operand->index];
  DType dtype = dtypeOf(getElementTypeOrSelf(type));
  auto tensor = dyn_cast<RankedTensorType>(type);
  // A dimensioned operand is rounded to the common dtype first; numbers and zero-dimensional
  // tensors go into the computation as they are.
  if (tensor && tensor.getRank() > 0 && isHalf(compute) && dtype != compute)
    return convert(convert(element, dtype, compute), compute, DType::Float);
  return convert(element, dtype, opmath);
}

Value PointwiseEmitter::read(StringRef name) { return readArg(arguments.named(name)); }

Value PointwiseEmitter::readRounded(StringRef name) {
  Value value = read(name);
  if (!value || !isHalf(compute))
    return value;
  return convert(convert(value, DType::Float, compute), compute, DType::Float);
}

Value PointwiseEmitter::readBool(StringRef name) {
  DType before = compute;
  compute = DType::Bool;
  Value value = read(name);
  compute = before;
  return value;
}

std::optional<DType> PointwiseEmitter::promotionOf(ArrayRef<StringRef> names) {
  Promotion promotion;
  for (StringRef name : names) {
    const AtenArg *arg = arguments.named(name);
    if (!arg)
      return std::nullopt;
    if (Value value = arguments.value(arg))
      promotion.addOperand(value.getType());
    else if (std::holds_alternative<int64_t>(arg->value))
      promotion.addNumber(DType::Int64);
    else if (std::holds_alternative<double>(arg->value))
      promotion.addNumber(DType::Double);
    else if (std::holds_alternative<bool>(arg->value))
      promotion.addNumber(DType::Bool);
    else
      return std::nullopt;
  }
  return promotion.result();
}

std::optional<double> PointwiseEmitter::constant(StringRef name) const {
  const AtenArg *arg = arguments.named(name);
  if (!arg)
    return std::nullopt;
  if (auto *integer = std::get_if<int64_t>(&arg->value))
    return double(*integer);
  if (auto *real = std::get_if<double>(&arg->value))
    return *real;
  if (auto *boolean = std::get_if<bool>(&arg->value))
    return double(*boolean);
  return std::nullopt;
}

std::optional<std::string> PointwiseEmitter::text(StringRef name) const {
  const AtenArg *arg = arguments.named(name);
  auto *value = arg ? std::get_if<std::string>(&arg->value) : nullptr;
  return value ? std::optional(*value) : std::nullopt;
}

bool PointwiseEmitter::isNone(StringRef name) const {
  const AtenArg *arg = arguments.named(name);
  return !arg || std::holds_alternative<AtenArg::None>(arg->value);
}

std::optional<DType> PointwiseEmitter::dtypeOfArg(StringRef name) const {
  Value value = arguments.valueNamed(name);
  if (!value)
    return std::nullopt;
  return dtypeOf(getElementTypeOrSelf(value.getType()));
}

Value PointwiseEmitter::add(Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return make<arith::AddFOp>(a, b);
  return a.getType().isInteger(1) ? make<arith::OrIOp>(a, b) : make<arith::AddIOp>(a, b);
}

Value PointwiseEmitter::sub(Value a, Value b) {
  return isa<FloatType>(a.getType()) ? make<arith::SubFOp>(a, b) : make<arith::SubIOp>(a, b);
}

Value PointwiseEmitter::mul(Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return make<arith::MulFOp>(a, b);
  return a.getType().isInteger(1) ? make<arith::AndIOp>(a, b) : make<arith::MulIOp>(a, b);
}

Value PointwiseEmitter::neg(Value a) {
  if (isa<FloatType>(a.getType()))
    return make<arith::NegFOp>(a);
  return sub(number(a.getType(), 0), a);
}

Value PointwiseEmitter::compare(Is relation, Value a, Value b) {
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  if (isa<FloatType>(a.getType())) {
    constexpr F predicates[] = {F::OEQ, F::UNE, F::OLT, F::OLE, F::OGT, F::OGE};
    return make<arith::CmpFOp>(predicates[int(relation)], a, b);
  }
  constexpr I asSigned[] = {I::eq, I::ne, I::slt, I::sle, I::sgt, I::sge};
  constexpr I asUnsigned[] = {I::eq, I::ne, I::ult, I::ule, I::ugt, I::uge};
  return make<arith::CmpIOp>((inUnsigned() ? asUnsigned : asSigned)[int(relation)], a, b);
}

} // namespace bifront
