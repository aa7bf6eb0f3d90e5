// Bodies of pointwise ops: arithmetic, comparisons, casts and constants. Activations are in
// pointwise_activations.cpp.
#include "passes/pointwise_emissions.h"

#include "ir/vector_library.h"

#include "mlir/IR/Matchers.h"

#include <cmath>

using namespace mlir;

namespace bifront {
namespace {

using E = PointwiseEmitter;
using Is = PointwiseEmitter::Is;

//===- Arithmetic --------------------------------------------------------------------------===//

// The common dtype must be the result's: emissions compute in that.
Value scaled(E &e, StringRef factor, Value value) {
  if (e.constant(factor) == 1.0)
    return value;
  Value scale = e.read(factor);
  return scale ? e.mul(scale, value) : Value();
}

// ATen's kernels round `value + factor * scale` once.
Value plusScaled(E &e, Value value, Value factor, StringRef scale) {
  if (e.constant(scale) == 1.0)
    return e.add(value, factor);
  Value known = e.read(scale);
  if (!known)
    return {};
  return e.inFloat() ? e.fma(factor, known, value) : e.add(value, e.mul(factor, known));
}

Value emitAdd(E &e) {
  Value self = e.read("self"), other = e.read("other");
  if (!self || !other)
    return {};
  Value sum = plusScaled(e, self, other, "alpha");
  return sum ? e.toResult(sum) : Value();
}

Value emitDifference(E &e, StringRef from, StringRef what) {
  Value left = e.read(from), right = e.read(what);
  if (!left || !right || e.computeDType() == DType::Bool)
    return {};
  if (e.inFloat() && e.constant("alpha") != 1.0) {
    Value alpha = e.read("alpha");
    return alpha ? e.toResult(e.fma(e.neg(alpha), right, left)) : Value();
  }
  right = scaled(e, "alpha", right);
  return right ? e.toResult(e.sub(left, right)) : Value();
}

Value emitSub(E &e) { return emitDifference(e, "self", "other"); }
Value emitRsub(E &e) { return emitDifference(e, "other", "self"); }

Value emitMul(E &e) {
  Value self = e.read("self"), other = e.read("other");
  return self && other ? e.toResult(e.mul(self, other)) : Value();
}

Value floorQuotient(E &e, Value a, Value b) {
  Value zero = e.number(0), plain = e.div(a, b);
  Value rest = e.make<arith::RemFOp>(a, b);
  Value quotient = e.div(e.sub(a, rest), b);
  Value signsDiffer =
      e.make<arith::XOrIOp>(e.compare(Is::Lt, b, zero), e.compare(Is::Lt, rest, zero));
  Value adjusts = e.make<arith::AndIOp>(e.compare(Is::Ne, rest, zero), signsDiffer);
  quotient = e.select(adjusts, e.sub(quotient, e.number(1)), quotient);
  Value down = e.make<math::FloorOp>(quotient);
  Value isOff = e.compare(Is::Gt, e.sub(quotient, down), e.number(0.5));
  down = e.select(isOff, e.add(down, e.number(1)), down);
  Value signedZero = e.make<math::CopySignOp>(zero, plain);
  Value result = e.select(e.compare(Is::Ne, quotient, zero), down, signedZero);
  return e.select(e.compare(Is::Eq, b, zero), plain, result);
}

// A whole quotient by a number that is neither zero (which raises) nor -1 (which may overflow).
bool dividesSafely(E &e) {
  std::optional<double> divisor = e.constant("other");
  return divisor && *divisor >= 1 && !e.inUnsigned();
}

Value emitDiv(E &e) {
  Value self = e.read("self"), other = e.read("other");
  if (!self || !other)
    return {};
  std::optional<std::string> mode = e.text("rounding_mode");
  if (!mode)
    return e.inFloat() ? e.toResult(e.div(self, other)) : Value();
  if (e.inFloat()) {
    if (*mode == "trunc")
      return e.toResult(e.make<math::TruncOp>(e.div(self, other)));
    return e.toResult(floorQuotient(e, self, other));
  }
  if (!dividesSafely(e))
    return {};
  if (*mode == "trunc")
    return e.toResult(e.make<arith::DivSIOp>(self, other));
  Value rest = e.make<arith::RemSIOp>(self, other), quotient = e.make<arith::DivSIOp>(self, other);
  return e.toResult(
      e.select(e.compare(Is::Lt, rest, e.number(0)), e.sub(quotient, e.number(1)), quotient));
}

Value emitRemainder(E &e) {
  Value self = e.read("self"), other = e.read("other");
  if (!self || !other || (!e.inFloat() && !dividesSafely(e)))
    return {};
  Value zero = e.number(0);
  Value rest =
      e.inFloat() ? e.make<arith::RemFOp>(self, other) : e.make<arith::RemSIOp>(self, other);
  Value signsDiffer =
      e.make<arith::XOrIOp>(e.compare(Is::Lt, other, zero), e.compare(Is::Lt, rest, zero));
  Value adjusts = e.make<arith::AndIOp>(e.compare(Is::Ne, rest, zero), signsDiffer);
  return e.toResult(e.select(adjusts, e.add(rest, other), rest));
}

Value emitFmod(E &e) {
  Value self = e.read("self"), other = e.read("other");
  if (!self || !other || (!e.inFloat() && !dividesSafely(e)))
    return {};
  return e.toResult(e.inFloat() ? e.make<arith::RemFOp>(self, other)
                                : e.make<arith::RemSIOp>(self, other));
}

Value emitAddcmul(E &e) {
  Value self = e.read("self"), left = e.read("tensor1"), right = e.read("tensor2");
  if (!self || !left || !right || !(left = scaled(e, "value", left)))
    return {};
  return e.toResult(e.inFloat() ? e.fma(left, right, self) : e.add(self, e.mul(left, right)));
}

Value emitAddcdiv(E &e) {
  Value self = e.read("self"), left = e.read("tensor1"), right = e.read("tensor2");
  if (!e.inFloat() || !self || !left || !right || !(left = scaled(e, "value", left)))
    return {};
  return e.toResult(e.add(self, e.div(left, right)));
}

Value emitLerp(E &e) {
  Value start = e.read("self"), end = e.read("end"), weight = e.read("weight");
  if (!e.inFloat() || !start || !end || !weight)
    return {};
  // From the nearer end, for the sake of precision.
  Value span = e.sub(end, start), fromEnd = e.sub(weight, e.number(1));
  if (std::optional<double> known = e.constant("weight"))
    return e.toResult(std::abs(*known) < 0.5 ? e.fma(weight, span, start)
                                             : e.fma(fromEnd, span, end));
  Value isSmall = e.compare(Is::Lt, e.make<math::AbsFOp>(weight), e.number(0.5));
  return e.toResult(e.select(isSmall, e.fma(weight, span, start), e.fma(fromEnd, span, end)));
}

Value emitPowScalar(E &e) {
  Value self = e.read("self");
  std::optional<double> exponent = e.constant("exponent");
  if (!self)
    return {};
  if (exponent == 1.0)
    return e.toResult(self);
  if (exponent == 2.0 && e.computeDType() != DType::Bool)
    return e.toResult(e.mul(self, self));
  if (exponent == 3.0 && e.computeDType() != DType::Bool)
    return e.toResult(e.mul(e.mul(self, self), self));
  if (!e.inFloat())
    return {};
  if (exponent == 0.0)
    return e.toResult(e.number(1));
  // For float16, ATen has no square root here; the two differ at the infinities.
  bool takesRoots = e.computeDType() != DType::Half;
  if (exponent == 0.5 && takesRoots)
    return e.toResult(e.make<math::SqrtOp>(self));
  if (exponent == -0.5 && takesRoots)
    return e.toResult(e.div(e.number(1), e.make<math::SqrtOp>(self)));
  if (exponent == -1.0)
    return e.toResult(e.div(e.number(1), self));
  if (exponent == -2.0)
    return e.toResult(e.div(e.number(1), e.mul(self, self)));
  Value power = e.readRounded("exponent");
  return power ? e.toResult(e.make<math::PowFOp>(self, power)) : Value();
}

Value emitPow(E &e) {
  Value self = e.read("self"), exponent = e.read("exponent");
  if (!e.inFloat() || !self || !exponent)
    return {};
  return e.toResult(e.make<math::PowFOp>(self, exponent));
}

//===- Extremes ----------------------------------------------------------------------------===//

// NaN comes through from either side.
Value larger(E &e, Value a, Value b) {
  if (e.inFloat())
    return e.make<arith::MaximumFOp>(a, b);
  return e.inUnsigned() ? e.make<arith::MaxUIOp>(a, b) : e.make<arith::MaxSIOp>(a, b);
}

Value smaller(E &e, Value a, Value b) {
  if (e.inFloat())
    return e.make<arith::MinimumFOp>(a, b);
  return e.inUnsigned() ? e.make<arith::MinUIOp>(a, b) : e.make<arith::MinSIOp>(a, b);
}

template <Value (*combine)(E &, Value, Value)> Value emitExtreme(E &e) {
  Value self = e.read("self"), other = e.read("other");
  return self && other ? e.toResult(combine(e, self, other)) : Value();
}

// A bound that is a constant needs no NaN of its own, and a select is one instruction.
Value bounded(E &e, Value value, StringRef name, Is beyond) {
  Value bound = e.read(name);
  if (!bound)
    return {};
  std::optional<double> known = e.constant(name);
  if (known && !std::isnan(*known))
    return e.select(e.compare(beyond, value, bound), bound, value);
  return beyond == Is::Lt ? larger(e, value, bound) : smaller(e, value, bound);
}

Value emitClamp(E &e) {
  Value value = e.read("self");
  if (value && !e.isNone("min"))
    value = bounded(e, value, "min", Is::Lt);
  if (value && !e.isNone("max"))
    value = bounded(e, value, "max", Is::Gt);
  return value ? e.toResult(value) : Value();
}

//===- Functions of one number -------------------------------------------------------------===//

template <typename Op> Value emitFloatFunction(E &e) {
  Value self = e.read("self");
  return self && e.inFloat() ? e.toResult(e.make<Op>(self)) : Value();
}

// ATen computes these with MKL's vector library, whose last bits are its own: left to ATen, so that
// results are eager's to the bit. Halves are computed with Sleef there too.
template <typename Op> Value emitVectorLibraryFunction(E &e) {
  bool isHalf = e.computeDType() == DType::Half || e.computeDType() == DType::BFloat16;
  return isHalf ? emitFloatFunction<Op>(e) : Value();
}

// For bf::kFromLibraryAttr: nothing but this function of the operand as it is.
Value emitSqrt(E &e) {
  if (e.computeDType() != DType::Float && e.computeDType() != DType::Double)
    return emitVectorLibraryFunction<math::SqrtOp>(e);
  Value self = e.read("self");
  if (!isa_and_nonnull<BlockArgument>(self))
    return {};
  Value root = e.make<math::SqrtOp>(self);
  root.getDefiningOp()->setAttr(bf::kFromLibraryAttr, UnitAttr::get(root.getContext()));
  return e.toResult(root);
}

// Integers are whole already.
template <typename Op> Value emitRounding(E &e) {
  Value self = e.read("self");
  if (!self)
    return {};
  return e.toResult(e.inFloat() ? e.make<Op>(self) : self);
}

Value emitNeg(E &e) {
  Value self = e.read("self");
  return self && e.computeDType() != DType::Bool ? e.toResult(e.neg(self)) : Value();
}

Value emitAbs(E &e) {
  Value self = e.read("self");
  if (!self)
    return {};
  if (e.inFloat())
    return e.toResult(e.make<math::AbsFOp>(self));
  return e.toResult(e.inUnsigned() ? self : e.make<math::AbsIOp>(self));
}

Value emitSign(E &e) {
  Value self = e.read("self");
  if (!self || !e.inFloat())
    return {};
  Value zero = e.number(0);
  Value below = e.select(e.compare(Is::Lt, self, zero), e.number(-1), zero);
  return e.toResult(e.select(e.compare(Is::Gt, self, zero), e.number(1), below));
}

Value emitReciprocal(E &e) {
  Value self = e.read("self");
  return self && e.inFloat() ? e.toResult(e.div(e.number(1), self)) : Value();
}

Value emitRsqrt(E &e) {
  Value self = e.read("self");
  return self && e.inFloat() ? e.toResult(e.div(e.number(1), e.make<math::SqrtOp>(self))) : Value();
}

//===- Truth -------------------------------------------------------------------------------===//

bool isExactIn(double value, DType dtype) {
  if (dtype == DType::Half)
    return double(float(value)) == value && std::abs(value) <= 2048 && std::trunc(value) == value;
  if (dtype == DType::BFloat16)
    return std::abs(value) <= 256 && std::trunc(value) == value;
  return true;
}

template <Is relation> Value emitComparison(E &e) {
  std::optional<DType> common = e.promotionOf({"self", "other"});
  if (!common || isComplex(*common))
    return {};
  // An integer against a float number is compared in the default dtype, which the graph does not
  // know, and a half against a number that is no half in one of several ways.
  std::optional<double> number = e.constant("other");
  Value other = e.args().valueNamed("other");
  bool againstNumber = !other || !isa<RankedTensorType>(other.getType());
  if (againstNumber) {
    std::optional<DType> self = e.dtypeOfArg("self");
    if (!self || *self != *common)
      return {};
    if ((*common == DType::Half || *common == DType::BFloat16) &&
        (!number || !isExactIn(*number, *common)))
      return {};
  }
  e.computeIn(*common);
  Value left = e.read("self"), right = e.read("other");
  if (!left || !right)
    return {};
  Value outcome = e.compare(relation, left, right);
  e.computeIn(DType::Bool);
  return e.toResult(outcome);
}

template <typename Op> Value emitLogical(E &e) {
  e.computeIn(DType::Bool);
  Value self = e.read("self"), other = e.read("other");
  return self && other ? e.toResult(e.make<Op>(self, other)) : Value();
}

Value emitLogicalNot(E &e) {
  e.computeIn(DType::Bool);
  Value self = e.read("self");
  return self ? e.toResult(e.logicalNot(self)) : Value();
}

template <typename Op> Value emitBitwise(E &e) {
  Value self = e.read("self"), other = e.read("other");
  return self && other && !e.inFloat() ? e.toResult(e.make<Op>(self, other)) : Value();
}

Value emitBitwiseNot(E &e) {
  Value self = e.read("self");
  if (!self || e.inFloat())
    return {};
  if (e.computeDType() == DType::Bool)
    return e.toResult(e.logicalNot(self));
  return e.toResult(e.make<arith::XOrIOp>(self, e.number(-1)));
}

Value emitIsNan(E &e) {
  std::optional<DType> dtype = e.dtypeOfArg("self");
  if (!dtype)
    return {};
  e.computeIn(*dtype);
  Value self = e.read("self");
  if (!self)
    return {};
  Value outcome =
      e.inFloat() ? e.make<arith::CmpFOp>(arith::CmpFPredicate::UNO, self, self) : e.truth(false);
  e.computeIn(DType::Bool);
  return e.toResult(outcome);
}

Value emitWhere(E &e) {
  Value condition = e.readBool("condition"), self = e.read("self"), other = e.read("other");
  if (!condition || !self || !other)
    return {};
  return e.toResult(e.select(condition, self, other));
}

Value emitMaskedFill(E &e) {
  Value mask = e.readBool("mask"), self = e.read("self"), value = e.read("value");
  if (!mask || !self || !value)
    return {};
  return e.toResult(e.select(mask, value, self));
}

//===- Copies and constants ----------------------------------------------------------------===//

// A request for a memory format is left to ATen: a kernel's result lies as its operands do.
bool asksForLayout(E &e) {
  constexpr int64_t preserve = 1;
  std::optional<int64_t> format = e.args().intNamed("memory_format");
  std::optional<int64_t> layout = e.args().intNamed("layout");
  return format.value_or(preserve) != preserve || layout.value_or(0) != 0;
}

Value emitCopy(E &e) {
  Value self = e.read("self");
  return self && !asksForLayout(e) ? e.toResult(self) : Value();
}

Value emitCopyFrom(E &e) {
  Value source = e.read("src");
  return source ? e.toResult(source) : Value();
}

Value emitFill(E &e, StringRef name) {
  Value value = e.read(name);
  return value && !asksForLayout(e) ? e.toResult(value) : Value();
}

Value emitFillValue(E &e) { return emitFill(e, "value"); }
Value emitFull(E &e) { return emitFill(e, "fill_value"); }
Value emitScalarTensor(E &e) { return emitFill(e, "s"); }

template <int value> Value emitConstant(E &e) {
  if (asksForLayout(e))
    return {};
  return e.computeDType() == DType::Bool ? e.toResult(e.truth(value != 0))
                                         : e.toResult(e.number(value));
}

} // namespace

void addArithmeticEmissions(llvm::StringMap<PointwiseEmission> &table) {
  auto add = [&](std::initializer_list<const char *> names, PointwiseEmission emission) {
    for (const char *name : names)
      table[std::string("aten::") + name] = emission;
  };
  add({"add.Tensor", "add.Scalar"}, emitAdd);
  add({"sub.Tensor", "sub.Scalar"}, emitSub);
  add({"rsub.Tensor", "rsub.Scalar"}, emitRsub);
  add({"mul.Tensor", "mul.Scalar"}, emitMul);
  add({"div.Tensor", "div.Scalar", "div.Tensor_mode", "div.Scalar_mode"}, emitDiv);
  add({"remainder.Tensor", "remainder.Scalar"}, emitRemainder);
  add({"fmod.Tensor", "fmod.Scalar"}, emitFmod);
  add({"addcmul"}, emitAddcmul);
  add({"addcdiv"}, emitAddcdiv);
  add({"lerp.Scalar", "lerp.Tensor"}, emitLerp);
  add({"pow.Tensor_Scalar"}, emitPowScalar);
  add({"pow.Tensor_Tensor", "pow.Scalar"}, emitPow);
  add({"maximum"}, emitExtreme<larger>);
  add({"minimum"}, emitExtreme<smaller>);
  add({"clamp", "clamp.Tensor", "clamp_min", "clamp_min.Tensor", "clamp_max", "clamp_max.Tensor"},
      emitClamp);

  add({"neg"}, emitNeg);
  add({"abs"}, emitAbs);
  add({"sign"}, emitSign);
  add({"reciprocal"}, emitReciprocal);
  add({"rsqrt"}, emitRsqrt);
  add({"sqrt"}, emitSqrt);
  add({"exp"}, emitVectorLibraryFunction<math::ExpOp>);
  add({"exp2"}, emitFloatFunction<math::Exp2Op>);
  add({"expm1"}, emitFloatFunction<math::ExpM1Op>);
  add({"log"}, emitVectorLibraryFunction<math::LogOp>);
  add({"log2"}, emitVectorLibraryFunction<math::Log2Op>);
  add({"log10"}, emitVectorLibraryFunction<math::Log10Op>);
  add({"log1p"}, emitFloatFunction<math::Log1pOp>);
  add({"sin"}, emitVectorLibraryFunction<math::SinOp>);
  add({"cos"}, emitVectorLibraryFunction<math::CosOp>);
  add({"tan"}, emitVectorLibraryFunction<math::TanOp>);
  add({"tanh"}, emitVectorLibraryFunction<math::TanhOp>);
  add({"atan"}, emitVectorLibraryFunction<math::AtanOp>);
  add({"erf"}, emitVectorLibraryFunction<math::ErfOp>);
  add({"floor"}, emitRounding<math::FloorOp>);
  add({"ceil"}, emitRounding<math::CeilOp>);
  add({"trunc"}, emitRounding<math::TruncOp>);
  add({"round"}, emitRounding<math::RoundEvenOp>);

  add({"eq.Tensor", "eq.Scalar"}, emitComparison<Is::Eq>);
  add({"ne.Tensor", "ne.Scalar"}, emitComparison<Is::Ne>);
  add({"lt.Tensor", "lt.Scalar"}, emitComparison<Is::Lt>);
  add({"le.Tensor", "le.Scalar"}, emitComparison<Is::Le>);
  add({"gt.Tensor", "gt.Scalar"}, emitComparison<Is::Gt>);
  add({"ge.Tensor", "ge.Scalar"}, emitComparison<Is::Ge>);
  add({"logical_and"}, emitLogical<arith::AndIOp>);
  add({"logical_or"}, emitLogical<arith::OrIOp>);
  add({"logical_xor"}, emitLogical<arith::XOrIOp>);
  add({"logical_not"}, emitLogicalNot);
  add({"bitwise_and.Tensor", "bitwise_and.Scalar"}, emitBitwise<arith::AndIOp>);
  add({"bitwise_or.Tensor", "bitwise_or.Scalar"}, emitBitwise<arith::OrIOp>);
  add({"bitwise_xor.Tensor", "bitwise_xor.Scalar"}, emitBitwise<arith::XOrIOp>);
  add({"bitwise_not"}, emitBitwiseNot);
  add({"isnan"}, emitIsNan);
  add({"where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar"}, emitWhere);
  add({"masked_fill.Scalar", "masked_fill.Tensor"}, emitMaskedFill);

  add({"_to_copy", "clone"}, emitCopy);
  add({"copy"}, emitCopyFrom);
  add({"fill.Scalar", "fill.Tensor"}, emitFillValue);
  add({"full", "full_like", "new_full"}, emitFull);
  add({"scalar_tensor"}, emitScalarTensor);
  add({"zeros", "zeros_like", "new_zeros", "zero"}, emitConstant<0>);
  add({"ones", "ones_like", "new_ones"}, emitConstant<1>);
}

PointwiseEmission emissionFor(StringRef schema) {
  static const llvm::StringMap<PointwiseEmission> table = [] {
    llvm::StringMap<PointwiseEmission> all;
    addArithmeticEmissions(all);
    addActivationEmissions(all);
    return all;
  }();
  return table.lookup(schema);
}

} // namespace bifront
