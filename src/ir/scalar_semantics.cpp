#include "ir/scalar_semantics.h"

#include "ir/assertion_texts.h"
#include "ir/bf_dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

#include <limits>
#include <stdexcept>

using namespace mlir;
using arith::CmpFPredicate;
using arith::CmpIPredicate;

namespace bifront {
namespace {

class ScalarEmitter {
public:
  ScalarEmitter(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  Value emit(ScalarOp op, ValueRange operands);

private:
  template <typename Op, typename... Args> Value make(Args &&...args) {
    return builder.createOrFold<Op>(loc, std::forward<Args>(args)...);
  }
  Value integer(int64_t value) { return make<arith::ConstantOp>(builder.getI64IntegerAttr(value)); }
  Value number(double value) { return make<arith::ConstantOp>(builder.getF64FloatAttr(value)); }
  Value truth(bool value) { return make<arith::ConstantOp>(builder.getBoolAttr(value)); }
  Value compare(CmpIPredicate predicate, Value a, Value b) {
    return make<arith::CmpIOp>(predicate, a, b);
  }
  Value compare(CmpFPredicate predicate, Value a, Value b) {
    return make<arith::CmpFOp>(predicate, a, b);
  }
  Value select(Value condition, Value yes, Value no) {
    return make<arith::SelectOp>(condition, yes, no);
  }
  void require(Value condition, StringRef message) {
    if (!matchPattern(condition, m_One()))
      bf::AssertOp::create(builder, loc, condition, message);
  }

  Value toInt(Value value);
  Value toFloat(Value value);
  Value toBool(Value value);
  // Truncates; asserts that the result fits.
  Value toIntChecked(Value value);
  Value checkedSum(Value a, Value b);
  Value checkedDifference(Value a, Value b);
  Value checkedProduct(Value a, Value b);
  Value divideFloor(Value a, Value b);
  Value modulo(Value a, Value b);
  Value power(Value a, Value b);
  Value exponential(Value a);
  Value angle(Value a);
  Value binary(ScalarOp op, Value a, Value b);
  Value unary(ScalarOp op, Value a);

  OpBuilder &builder;
  Location loc;
};

bool isFloat(Value value) { return value.getType().isF64(); }

Value ScalarEmitter::toInt(Value value) {
  if (value.getType().isInteger(64))
    return value;
  if (value.getType().isInteger(1))
    return make<arith::ExtUIOp>(builder.getI64Type(), value);
  throw std::invalid_argument("an operand that is not an int");
}

Value ScalarEmitter::toFloat(Value value) {
  if (isFloat(value))
    return value;
  return make<arith::SIToFPOp>(builder.getF64Type(), toInt(value));
}

Value ScalarEmitter::toBool(Value value) {
  if (value.getType().isInteger(1))
    return value;
  if (isFloat(value))
    return compare(CmpFPredicate::UNE, value, number(0));
  return compare(CmpIPredicate::ne, toInt(value), integer(0));
}

Value ScalarEmitter::toIntChecked(Value value) {
  if (!isFloat(value))
    return toInt(value);
  // Not an int in Python: NaN and the infinities; not one of ours: beyond 64 bits.
  Value magnitude = make<math::AbsFOp>(value);
  require(compare(CmpFPredicate::OLT, magnitude, number(9223372036854774784.0)),
          "a float that fits an int");
  return make<arith::FPToSIOp>(builder.getI64Type(), value);
}

Value ScalarEmitter::checkedSum(Value a, Value b) {
  Value sum = make<arith::AddIOp>(a, b);
  Value flips = make<arith::AndIOp>(make<arith::XOrIOp>(a, sum), make<arith::XOrIOp>(b, sum));
  require(compare(CmpIPredicate::sge, flips, integer(0)), fitsInt64("an int sum"));
  return sum;
}

Value ScalarEmitter::checkedDifference(Value a, Value b) {
  Value difference = make<arith::SubIOp>(a, b);
  Value flips = make<arith::AndIOp>(make<arith::XOrIOp>(a, b), make<arith::XOrIOp>(a, difference));
  require(compare(CmpIPredicate::sge, flips, integer(0)), fitsInt64("an int difference"));
  return difference;
}

Value ScalarEmitter::checkedProduct(Value a, Value b) {
  Value product = make<arith::MulIOp>(a, b);
  // The double product is within one part in 2^52, so a bound of 2^62 is safe and simple.
  Value estimate = make<math::AbsFOp>(make<arith::MulFOp>(toFloat(a), toFloat(b)));
  require(compare(CmpFPredicate::OLT, estimate, number(4611686018427387904.0)),
          fitsInt64("an int product"));
  return product;
}

Value ScalarEmitter::divideFloor(Value a, Value b) {
  if (isFloat(a) || isFloat(b)) {
    a = toFloat(a), b = toFloat(b);
    require(compare(CmpFPredicate::UNE, b, number(0)), "a divisor is not zero");
    // CPython's float_floor_div: exact through the remainder, then snapped to the nearest integer.
    Value rest = make<arith::RemFOp>(a, b);
    Value quotient = make<arith::DivFOp>(make<arith::SubFOp>(a, rest), b);
    Value restNegative = compare(CmpFPredicate::OLT, rest, number(0));
    Value divisorNegative = compare(CmpFPredicate::OLT, b, number(0));
    Value adjusts = make<arith::AndIOp>(compare(CmpFPredicate::UNE, rest, number(0)),
                                        make<arith::XOrIOp>(restNegative, divisorNegative));
    quotient = select(adjusts, make<arith::SubFOp>(quotient, number(1)), quotient);
    Value down = make<math::FloorOp>(quotient);
    Value isOff = compare(CmpFPredicate::OGT, make<arith::SubFOp>(quotient, down), number(0.5));
    Value snapped = select(isOff, make<arith::AddFOp>(down, number(1)), down);
    Value zero = make<math::CopySignOp>(number(0), make<arith::DivFOp>(a, b));
    return select(compare(CmpFPredicate::UNE, quotient, number(0)), snapped, zero);
  }
  a = toInt(a), b = toInt(b);
  require(compare(CmpIPredicate::ne, b, integer(0)), "a divisor is not zero");
  Value overflows = make<arith::AndIOp>(
      compare(CmpIPredicate::eq, a, integer(std::numeric_limits<int64_t>::min())),
      compare(CmpIPredicate::eq, b, integer(-1)));
  require(make<arith::XOrIOp>(overflows, truth(true)), fitsInt64("an int quotient"));
  Value quotient = make<arith::DivSIOp>(a, b), rest = make<arith::RemSIOp>(a, b);
  Value adjusts =
      make<arith::AndIOp>(compare(CmpIPredicate::ne, rest, integer(0)),
                          compare(CmpIPredicate::slt, make<arith::XOrIOp>(rest, b), integer(0)));
  return select(adjusts, make<arith::SubIOp>(quotient, integer(1)), quotient);
}

Value ScalarEmitter::modulo(Value a, Value b) {
  if (isFloat(a) || isFloat(b)) {
    a = toFloat(a), b = toFloat(b);
    require(compare(CmpFPredicate::UNE, b, number(0)), "a divisor is not zero");
    Value rest = make<arith::RemFOp>(a, b);
    Value restNegative = compare(CmpFPredicate::OLT, rest, number(0));
    Value divisorNegative = compare(CmpFPredicate::OLT, b, number(0));
    Value differ = make<arith::XOrIOp>(restNegative, divisorNegative);
    Value moved = select(differ, make<arith::AddFOp>(rest, b), rest);
    return select(compare(CmpFPredicate::UNE, rest, number(0)), moved,
                  make<math::CopySignOp>(number(0), b));
  }
  a = toInt(a), b = toInt(b);
  require(compare(CmpIPredicate::ne, b, integer(0)), "a divisor is not zero");
  // x % -1 is 0, but the machine's remainder of the least int by -1 traps.
  Value divisor = select(compare(CmpIPredicate::eq, b, integer(-1)), integer(1), b);
  Value rest = make<arith::RemSIOp>(a, divisor);
  Value adjusts = make<arith::AndIOp>(
      compare(CmpIPredicate::ne, rest, integer(0)),
      compare(CmpIPredicate::slt, make<arith::XOrIOp>(rest, divisor), integer(0)));
  return select(adjusts, make<arith::AddIOp>(rest, divisor), rest);
}

Value ScalarEmitter::power(Value a, Value b) {
  APInt exponent;
  bool negativeConstant = matchPattern(b, m_ConstantInt(&exponent)) && exponent.isNegative();
  if (!isFloat(a) && !isFloat(b) && !negativeConstant) {
    a = toInt(a), b = toInt(b);
    require(compare(CmpIPredicate::sge, b, integer(0)), "an int power has an exponent >= 0");
    Value estimate = make<math::AbsFOp>(make<math::PowFOp>(toFloat(a), toFloat(b)));
    require(compare(CmpFPredicate::OLT, estimate, number(4611686018427387904.0)),
            fitsInt64("an int power"));
    return make<math::IPowIOp>(a, b);
  }
  a = toFloat(a), b = toFloat(b);
  Value whole = compare(CmpFPredicate::OEQ, b, make<math::FloorOp>(b));
  require(make<arith::OrIOp>(compare(CmpFPredicate::UGE, a, number(0)), whole),
          "a power of a negative float has a whole exponent");
  require(make<arith::OrIOp>(compare(CmpFPredicate::UNE, a, number(0)),
                             compare(CmpFPredicate::UGE, b, number(0))),
          "a power of zero has an exponent >= 0");
  Value result = make<math::PowFOp>(a, b);
  Value infinity = number(std::numeric_limits<double>::infinity());
  Value fits = compare(CmpFPredicate::UNE, make<math::AbsFOp>(result), infinity);
  Value fromInfinity =
      make<arith::OrIOp>(compare(CmpFPredicate::OEQ, make<math::AbsFOp>(a), infinity),
                         compare(CmpFPredicate::OEQ, make<math::AbsFOp>(b), infinity));
  require(make<arith::OrIOp>(fits, fromInfinity), "a float power does not overflow");
  return result;
}

Value ScalarEmitter::binary(ScalarOp op, Value a, Value b) {
  if (op == ScalarOp::And)
    return make<arith::AndIOp>(toBool(a), toBool(b));
  if (op == ScalarOp::Or)
    return make<arith::OrIOp>(toBool(a), toBool(b));
  if (op == ScalarOp::TrueDiv) {
    require(compare(CmpFPredicate::UNE, toFloat(b), number(0)), "a divisor is not zero");
    return make<arith::DivFOp>(toFloat(a), toFloat(b));
  }
  if (op == ScalarOp::FloorDiv)
    return divideFloor(a, b);
  if (op == ScalarOp::Mod)
    return modulo(a, b);
  if (op == ScalarOp::Pow)
    return power(a, b);
  if (isFloat(a) || isFloat(b)) {
    a = toFloat(a), b = toFloat(b);
    switch (op) {
    case ScalarOp::Add: return make<arith::AddFOp>(a, b);
    case ScalarOp::Sub: return make<arith::SubFOp>(a, b);
    case ScalarOp::Mul: return make<arith::MulFOp>(a, b);
    case ScalarOp::Min: return select(compare(CmpFPredicate::OLT, b, a), b, a);
    case ScalarOp::Max: return select(compare(CmpFPredicate::OGT, b, a), b, a);
    case ScalarOp::Eq: return compare(CmpFPredicate::OEQ, a, b);
    case ScalarOp::Ne: return compare(CmpFPredicate::UNE, a, b);
    case ScalarOp::Lt: return compare(CmpFPredicate::OLT, a, b);
    case ScalarOp::Le: return compare(CmpFPredicate::OLE, a, b);
    case ScalarOp::Gt: return compare(CmpFPredicate::OGT, a, b);
    case ScalarOp::Ge: return compare(CmpFPredicate::OGE, a, b);
    default: throw std::invalid_argument("not an operation on two numbers");
    }
  }
  a = toInt(a), b = toInt(b);
  switch (op) {
  case ScalarOp::Add: return checkedSum(a, b);
  case ScalarOp::Sub: return checkedDifference(a, b);
  case ScalarOp::Mul: return checkedProduct(a, b);
  case ScalarOp::Min: return select(compare(CmpIPredicate::slt, b, a), b, a);
  case ScalarOp::Max: return select(compare(CmpIPredicate::sgt, b, a), b, a);
  case ScalarOp::Eq: return compare(CmpIPredicate::eq, a, b);
  case ScalarOp::Ne: return compare(CmpIPredicate::ne, a, b);
  case ScalarOp::Lt: return compare(CmpIPredicate::slt, a, b);
  case ScalarOp::Le: return compare(CmpIPredicate::sle, a, b);
  case ScalarOp::Gt: return compare(CmpIPredicate::sgt, a, b);
  case ScalarOp::Ge: return compare(CmpIPredicate::sge, a, b);
  default: throw std::invalid_argument("not an operation on two numbers");
  }
}

Value ScalarEmitter::exponential(Value a) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Value result = make<math::ExpOp>(a);
  Value isFinite = compare(CmpFPredicate::UNE, result, number(kInfinity));
  Value ofInfinity = compare(CmpFPredicate::OEQ, a, number(kInfinity));
  require(make<arith::OrIOp>(isFinite, ofInfinity), "an exponential does not overflow");
  return result;
}

// What Python takes a sine or a cosine of.
Value ScalarEmitter::angle(Value a) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Value isFinite = make<arith::AndIOp>(compare(CmpFPredicate::UNE, a, number(kInfinity)),
                                       compare(CmpFPredicate::UNE, a, number(-kInfinity)));
  require(isFinite, "an angle is finite");
  return a;
}

Value ScalarEmitter::unary(ScalarOp op, Value a) {
  switch (op) {
  case ScalarOp::Neg:
    return isFloat(a) ? make<arith::NegFOp>(a) : checkedDifference(integer(0), toInt(a));
  case ScalarOp::Sqrt:
    require(compare(CmpFPredicate::UGE, toFloat(a), number(0)), "a square root of a number >= 0");
    return make<math::SqrtOp>(toFloat(a));
  case ScalarOp::Exp: return exponential(toFloat(a));
  case ScalarOp::Log:
    require(compare(CmpFPredicate::UGT, toFloat(a), number(0)), "a logarithm of a number > 0");
    return make<math::LogOp>(toFloat(a));
  case ScalarOp::Sin: return make<math::SinOp>(angle(toFloat(a)));
  case ScalarOp::Cos: return make<math::CosOp>(angle(toFloat(a)));
  case ScalarOp::Tanh: return make<math::TanhOp>(toFloat(a));
  case ScalarOp::Not: return make<arith::XOrIOp>(toBool(a), truth(true));
  case ScalarOp::ToInt:
  case ScalarOp::Trunc: return toIntChecked(a);
  case ScalarOp::ToFloat: return toFloat(a);
  case ScalarOp::ToBool: return toBool(a);
  case ScalarOp::Floor: return isFloat(a) ? toIntChecked(make<math::FloorOp>(a)) : toInt(a);
  case ScalarOp::Ceil: return isFloat(a) ? toIntChecked(make<math::CeilOp>(a)) : toInt(a);
  case ScalarOp::Round: return isFloat(a) ? toIntChecked(make<math::RoundEvenOp>(a)) : toInt(a);
  default: throw std::invalid_argument("not an operation on one number");
  }
}

Value ScalarEmitter::emit(ScalarOp op, ValueRange operands) {
  for (Value operand : operands)
    if (!isFloat(operand) && !operand.getType().isInteger(64) && !operand.getType().isInteger(1))
      throw std::invalid_argument("an operand that is not a number");
  if (operands.size() == 1)
    return unary(op, operands[0]);
  if (operands.size() == 2)
    return binary(op, operands[0], operands[1]);
  throw std::invalid_argument("a scalar operation takes one or two operands");
}

} // namespace

Value emitScalarOp(OpBuilder &builder, Location loc, ScalarOp op, ValueRange operands) {
  return ScalarEmitter(builder, loc).emit(op, operands);
}

} // namespace bifront
