#include "reference/element_ops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <ATen/ATen.h>

#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace bifront {
namespace {

using at::Tensor;
using Operands = std::span<const Tensor>;
using Evaluate = std::function<Tensor(mlir::Operation &, Operands)>;

int64_t bitsOf(const Tensor &t) {
  return t.scalar_type() == at::kBool ? 1 : 8 * static_cast<int64_t>(t.element_size());
}

// The operand's integers in 64 bits. One bit is 0 or -1 when signed.
Tensor signedLong(const Tensor &t) {
  return t.scalar_type() == at::kBool ? t.to(at::kLong).neg() : t.to(at::kLong);
}

Tensor unsignedLong(const Tensor &t) {
  Tensor wide = signedLong(t);
  int64_t bits = bitsOf(t);
  return bits == 64 ? wide : wide.bitwise_and((int64_t{1} << bits) - 1);
}

// Unsigned 64-bit numbers compare like signed ones with the top bit flipped.
Tensor unsignedOrder(const Tensor &t) {
  return unsignedLong(t).bitwise_xor(std::numeric_limits<int64_t>::min());
}

// The low bits of 64-bit integers as a narrower type.
Tensor narrowed(const Tensor &wide, at::ScalarType dtype) {
  return dtype == at::kBool ? wide.bitwise_and(1).to(at::kBool) : wide.to(dtype);
}

Tensor compareInts(mlir::arith::CmpIPredicate predicate, const Tensor &a, const Tensor &b) {
  using P = mlir::arith::CmpIPredicate;
  switch (predicate) {
  case P::eq: return a.eq(b);
  case P::ne: return a.ne(b);
  case P::slt: return signedLong(a).lt(signedLong(b));
  case P::sle: return signedLong(a).le(signedLong(b));
  case P::sgt: return signedLong(a).gt(signedLong(b));
  case P::sge: return signedLong(a).ge(signedLong(b));
  case P::ult: return unsignedOrder(a).lt(unsignedOrder(b));
  case P::ule: return unsignedOrder(a).le(unsignedOrder(b));
  case P::ugt: return unsignedOrder(a).gt(unsignedOrder(b));
  case P::uge: return unsignedOrder(a).ge(unsignedOrder(b));
  }
  throw std::runtime_error("an integer comparison of an unknown kind");
}

Tensor compareFloats(mlir::arith::CmpFPredicate predicate, const Tensor &a, const Tensor &b) {
  using P = mlir::arith::CmpFPredicate;
  Tensor unordered = a.isnan().logical_or(b.isnan()), ordered = unordered.logical_not();
  switch (predicate) {
  case P::AlwaysFalse: return at::zeros_like(ordered);
  case P::AlwaysTrue: return at::ones_like(ordered);
  case P::OEQ: return a.eq(b);
  case P::OGT: return a.gt(b);
  case P::OGE: return a.ge(b);
  case P::OLT: return a.lt(b);
  case P::OLE: return a.le(b);
  case P::ONE: return a.ne(b).logical_and(ordered);
  case P::ORD: return ordered;
  case P::UEQ: return a.eq(b).logical_or(unordered);
  case P::UGT: return a.gt(b).logical_or(unordered);
  case P::UGE: return a.ge(b).logical_or(unordered);
  case P::ULT: return a.lt(b).logical_or(unordered);
  case P::ULE: return a.le(b).logical_or(unordered);
  case P::UNE: return a.ne(b);
  case P::UNO: return unordered;
  }
  throw std::runtime_error("a float comparison of an unknown kind");
}

Tensor constantOf(mlir::arith::ConstantOp op) {
  auto options = at::device(at::kCPU).dtype(elementDtype(op.getType()));
  if (auto value = llvm::dyn_cast<mlir::FloatAttr>(op.getValue()))
    return at::scalar_tensor(value.getValueAsDouble(), options);
  if (auto value = llvm::dyn_cast<mlir::IntegerAttr>(op.getValue())) {
    if (value.getType().isInteger(1))
      return at::scalar_tensor(!value.getValue().isZero(), options);
    return at::scalar_tensor(value.getValue().getSExtValue(), options);
  }
  throw std::runtime_error("a constant of an unknown kind");
}

at::ScalarType resultDtype(mlir::Operation &op) { return elementDtype(op.getResult(0).getType()); }

template <typename F> Evaluate unary(F compute) {
  return [compute](mlir::Operation &, Operands in) { return compute(in[0]); };
}
template <typename F> Evaluate binary(F compute) {
  return [compute](mlir::Operation &, Operands in) { return compute(in[0], in[1]); };
}
// On 64-bit integers, brought back to the operands' width.
template <typename F> Evaluate wideInts(F compute, Tensor (*widen)(const Tensor &)) {
  return [compute, widen](mlir::Operation &op, Operands in) {
    return narrowed(compute(widen(in[0]), widen(in[1])), resultDtype(op));
  };
}

Tensor ceilDivide(const Tensor &a, const Tensor &b) { return at::div(a.neg(), b, "floor").neg(); }

// NaN loses (maxnum, minnum), as IEEE's older operations have it.
Tensor maxnum(const Tensor &a, const Tensor &b) { return at::fmax(a, b); }
Tensor minnum(const Tensor &a, const Tensor &b) { return at::fmin(a, b); }

Tensor roundHalfAway(const Tensor &x) {
  Tensor whole = x.trunc();
  Tensor away = (x - whole).abs().ge(0.5);
  return at::where(away, whole + x.sign(), whole);
}

Tensor integerPower(const Tensor &base, const Tensor &exponent) {
  // MLIR: a negative exponent gives 0 unless |base| = 1.
  Tensor wide = signedLong(base), times = signedLong(exponent);
  Tensor negative = times.lt(0);
  Tensor positive = at::pow(wide, at::where(negative, times.neg(), times));
  return at::where(negative, at::where(wide.abs().eq(1), positive, at::zeros_like(positive)),
                   positive);
}

std::unordered_map<std::string, Evaluate> makeTable() {
  std::unordered_map<std::string, Evaluate> table;
  auto cast = [](mlir::Operation &op, Operands in) { return in[0].to(resultDtype(op)); };

  table["arith.constant"] = [](mlir::Operation &op, Operands) {
    return constantOf(llvm::cast<mlir::arith::ConstantOp>(op));
  };
  table["arith.select"] = [](mlir::Operation &, Operands in) {
    return at::where(in[0], in[1], in[2]);
  };
  table["arith.cmpi"] = [](mlir::Operation &op, Operands in) {
    return compareInts(llvm::cast<mlir::arith::CmpIOp>(op).getPredicate(), in[0], in[1]);
  };
  table["arith.cmpf"] = [](mlir::Operation &op, Operands in) {
    return compareFloats(llvm::cast<mlir::arith::CmpFOp>(op).getPredicate(), in[0], in[1]);
  };

  table["arith.addf"] = binary([](auto &a, auto &b) { return at::add(a, b); });
  table["arith.subf"] = binary([](auto &a, auto &b) { return at::sub(a, b); });
  table["arith.mulf"] = binary([](auto &a, auto &b) { return at::mul(a, b); });
  table["arith.divf"] = binary([](auto &a, auto &b) { return at::div(a, b); });
  table["arith.remf"] = binary([](auto &a, auto &b) { return at::fmod(a, b); });
  table["arith.negf"] = unary([](auto &a) { return at::neg(a); });
  table["arith.maximumf"] = binary([](auto &a, auto &b) { return at::maximum(a, b); });
  table["arith.minimumf"] = binary([](auto &a, auto &b) { return at::minimum(a, b); });
  table["arith.maxnumf"] = binary(maxnum);
  table["arith.minnumf"] = binary(minnum);

  table["arith.addi"] = wideInts([](auto a, auto b) { return a.add(b); }, signedLong);
  table["arith.subi"] = wideInts([](auto a, auto b) { return a.sub(b); }, signedLong);
  table["arith.muli"] = wideInts([](auto a, auto b) { return a.mul(b); }, signedLong);
  table["arith.divsi"] =
      wideInts([](auto a, auto b) { return at::div(a, b, "trunc"); }, signedLong);
  table["arith.floordivsi"] =
      wideInts([](auto a, auto b) { return at::div(a, b, "floor"); }, signedLong);
  table["arith.ceildivsi"] = wideInts(ceilDivide, signedLong);
  table["arith.remsi"] = wideInts([](auto a, auto b) { return at::fmod(a, b); }, signedLong);
  table["arith.maxsi"] = wideInts([](auto a, auto b) { return at::maximum(a, b); }, signedLong);
  table["arith.minsi"] = wideInts([](auto a, auto b) { return at::minimum(a, b); }, signedLong);
  table["arith.andi"] = wideInts([](auto a, auto b) { return a.bitwise_and(b); }, signedLong);
  table["arith.ori"] = wideInts([](auto a, auto b) { return a.bitwise_or(b); }, signedLong);
  table["arith.xori"] = wideInts([](auto a, auto b) { return a.bitwise_xor(b); }, signedLong);
  table["arith.shli"] =
      wideInts([](auto a, auto b) { return at::bitwise_left_shift(a, b); }, signedLong);
  table["arith.shrsi"] =
      wideInts([](auto a, auto b) { return at::bitwise_right_shift(a, b); }, signedLong);
  // Of fewer than 64 bits these are the signed operations on zero-extended numbers.
  auto narrow = [](Evaluate evaluate) -> Evaluate {
    return [evaluate](mlir::Operation &op, Operands in) {
      if (bitsOf(in[0]) == 64 && (in[0].lt(0).any().item<bool>() || in[1].lt(0).any().item<bool>()))
        throw std::runtime_error(op.getName().getStringRef().str() +
                                 " of 64-bit numbers beyond 2^63");
      return evaluate(op, in);
    };
  };
  table["arith.divui"] =
      narrow(wideInts([](auto a, auto b) { return at::div(a, b, "trunc"); }, unsignedLong));
  table["arith.remui"] =
      narrow(wideInts([](auto a, auto b) { return at::fmod(a, b); }, unsignedLong));
  table["arith.shrui"] =
      narrow(wideInts([](auto a, auto b) { return at::bitwise_right_shift(a, b); }, unsignedLong));
  table["arith.maxui"] =
      narrow(wideInts([](auto a, auto b) { return at::maximum(a, b); }, unsignedLong));
  table["arith.minui"] =
      narrow(wideInts([](auto a, auto b) { return at::minimum(a, b); }, unsignedLong));

  table["arith.extf"] = table["arith.truncf"] = cast;
  table["arith.extsi"] = table["arith.trunci"] = [](mlir::Operation &op, Operands in) {
    return narrowed(signedLong(in[0]), resultDtype(op));
  };
  table["arith.extui"] = [](mlir::Operation &op, Operands in) {
    return narrowed(unsignedLong(in[0]), resultDtype(op));
  };
  table["arith.sitofp"] = [](mlir::Operation &op, Operands in) {
    return signedLong(in[0]).to(resultDtype(op));
  };
  table["arith.uitofp"] = [](mlir::Operation &op, Operands in) {
    Tensor wide = unsignedLong(in[0]);
    Tensor value = wide.to(at::kDouble);
    return at::where(wide.lt(0), value + 18446744073709551616.0, value).to(resultDtype(op));
  };
  table["arith.fptosi"] = [](mlir::Operation &op, Operands in) {
    return narrowed(in[0].to(at::kLong), resultDtype(op));
  };
  table["arith.fptoui"] = table["arith.fptosi"];
  table["arith.bitcast"] = [](mlir::Operation &op, Operands in) {
    return in[0].contiguous().view(resultDtype(op));
  };
  table["arith.index_cast"] = table["arith.index_castui"] = cast;

#define FLOAT_FUNCTION(NAME, CALL) table["math." NAME] = unary([](auto &a) { return at::CALL(a); })
  FLOAT_FUNCTION("absf", abs);
  FLOAT_FUNCTION("acos", acos);
  FLOAT_FUNCTION("acosh", acosh);
  FLOAT_FUNCTION("asin", asin);
  FLOAT_FUNCTION("asinh", asinh);
  FLOAT_FUNCTION("atan", atan);
  FLOAT_FUNCTION("atanh", atanh);
  FLOAT_FUNCTION("ceil", ceil);
  FLOAT_FUNCTION("cos", cos);
  FLOAT_FUNCTION("cosh", cosh);
  FLOAT_FUNCTION("erf", erf);
  FLOAT_FUNCTION("erfc", erfc);
  FLOAT_FUNCTION("exp", exp);
  FLOAT_FUNCTION("exp2", exp2);
  FLOAT_FUNCTION("expm1", expm1);
  FLOAT_FUNCTION("floor", floor);
  FLOAT_FUNCTION("log", log);
  FLOAT_FUNCTION("log10", log10);
  FLOAT_FUNCTION("log1p", log1p);
  FLOAT_FUNCTION("log2", log2);
  FLOAT_FUNCTION("roundeven", round);
  FLOAT_FUNCTION("rsqrt", rsqrt);
  FLOAT_FUNCTION("sin", sin);
  FLOAT_FUNCTION("sinh", sinh);
  FLOAT_FUNCTION("sqrt", sqrt);
  FLOAT_FUNCTION("tan", tan);
  FLOAT_FUNCTION("tanh", tanh);
  FLOAT_FUNCTION("trunc", trunc);
  FLOAT_FUNCTION("isnan", isnan);
  FLOAT_FUNCTION("isinf", isinf);
  FLOAT_FUNCTION("isfinite", isfinite);
#undef FLOAT_FUNCTION
  table["math.round"] = unary(roundHalfAway);
  table["math.cbrt"] = unary([](auto &a) {
    return at::mul(a.sign(), at::pow(a.abs().to(at::kDouble), 1.0 / 3)).to(a.scalar_type());
  });
  table["math.isnormal"] = unary([](auto &a) {
    double least = a.scalar_type() == at::kDouble ? std::numeric_limits<double>::min()
                   : a.scalar_type() == at::kHalf ? 6.103515625e-05
                                                  : std::numeric_limits<float>::min();
    return at::isfinite(a).logical_and(a.abs().ge(least));
  });
  table["math.absi"] = unary([](auto &a) { return at::abs(a); });
  table["math.atan2"] = binary([](auto &a, auto &b) { return at::atan2(a, b); });
  table["math.copysign"] = binary([](auto &a, auto &b) { return at::copysign(a, b); });
  table["math.powf"] = binary([](auto &a, auto &b) { return at::pow(a, b); });
  table["math.fpowi"] = binary([](auto &a, auto &b) { return at::pow(a, b.to(a.scalar_type())); });
  table["math.ipowi"] = [](mlir::Operation &op, Operands in) {
    return narrowed(integerPower(in[0], in[1]), resultDtype(op));
  };
  table["math.fma"] = [](mlir::Operation &, Operands in) {
    // Exact for floats, whose products fit in a double.
    at::ScalarType dtype = in[0].scalar_type();
    return in[0].to(at::kDouble).mul(in[1].to(at::kDouble)).add(in[2].to(at::kDouble)).to(dtype);
  };
  return table;
}

} // namespace

at::ScalarType elementDtype(mlir::Type type) {
  if (auto complex = llvm::dyn_cast<mlir::ComplexType>(type))
    return complex.getElementType().isF64() ? at::kComplexDouble : at::kComplexFloat;
  if (type.isF64())
    return at::kDouble;
  if (type.isF32())
    return at::kFloat;
  if (type.isF16())
    return at::kHalf;
  if (type.isBF16())
    return at::kBFloat16;
  if (type.isSignlessInteger(1))
    return at::kBool;
  if (type.isSignlessInteger(8))
    return at::kChar;
  if (type.isSignlessInteger(16))
    return at::kShort;
  if (type.isSignlessInteger(32))
    return at::kInt;
  if (type.isSignlessInteger(64) || type.isIndex())
    return at::kLong;
  if (type.isUnsignedInteger(8))
    return at::kByte;
  throw std::runtime_error("a value of a type that tensors do not have");
}

at::Tensor evaluateElementOp(mlir::Operation &op, std::span<const at::Tensor> operands) {
  static const auto *table = new std::unordered_map<std::string, Evaluate>(makeTable());
  auto found = table->find(op.getName().getStringRef().str());
  if (found == table->end() || op.getNumResults() != 1)
    throw std::runtime_error("the reference interpreter does not know " +
                             op.getName().getStringRef().str());
  return found->second(op, operands);
}

} // namespace bifront
