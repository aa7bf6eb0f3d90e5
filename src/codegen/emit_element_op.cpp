#include "codegen/emit_element_op.h"

#include "codegen/codegen_error.h"
#include "codegen/native_symbols.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/bit.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/Module.h"

#include <limits>
#include <numeric>

using llvm::ArrayRef;
using llvm::CmpInst;
using llvm::Value;
namespace Intrinsic = llvm::Intrinsic;

namespace bifront {
namespace {

CmpInst::Predicate floatPredicate(uint8_t detail) {
  using mlir::arith::CmpFPredicate;
  switch (static_cast<CmpFPredicate>(detail)) {
  case CmpFPredicate::AlwaysFalse: return CmpInst::FCMP_FALSE;
  case CmpFPredicate::OEQ: return CmpInst::FCMP_OEQ;
  case CmpFPredicate::OGT: return CmpInst::FCMP_OGT;
  case CmpFPredicate::OGE: return CmpInst::FCMP_OGE;
  case CmpFPredicate::OLT: return CmpInst::FCMP_OLT;
  case CmpFPredicate::OLE: return CmpInst::FCMP_OLE;
  case CmpFPredicate::ONE: return CmpInst::FCMP_ONE;
  case CmpFPredicate::ORD: return CmpInst::FCMP_ORD;
  case CmpFPredicate::UEQ: return CmpInst::FCMP_UEQ;
  case CmpFPredicate::UGT: return CmpInst::FCMP_UGT;
  case CmpFPredicate::UGE: return CmpInst::FCMP_UGE;
  case CmpFPredicate::ULT: return CmpInst::FCMP_ULT;
  case CmpFPredicate::ULE: return CmpInst::FCMP_ULE;
  case CmpFPredicate::UNE: return CmpInst::FCMP_UNE;
  case CmpFPredicate::UNO: return CmpInst::FCMP_UNO;
  case CmpFPredicate::AlwaysTrue: return CmpInst::FCMP_TRUE;
  }
  throw CodegenError("a comparison of floats has no such predicate");
}

CmpInst::Predicate integerPredicate(uint8_t detail) {
  using mlir::arith::CmpIPredicate;
  switch (static_cast<CmpIPredicate>(detail)) {
  case CmpIPredicate::eq: return CmpInst::ICMP_EQ;
  case CmpIPredicate::ne: return CmpInst::ICMP_NE;
  case CmpIPredicate::slt: return CmpInst::ICMP_SLT;
  case CmpIPredicate::sle: return CmpInst::ICMP_SLE;
  case CmpIPredicate::sgt: return CmpInst::ICMP_SGT;
  case CmpIPredicate::sge: return CmpInst::ICMP_SGE;
  case CmpIPredicate::ult: return CmpInst::ICMP_ULT;
  case CmpIPredicate::ule: return CmpInst::ICMP_ULE;
  case CmpIPredicate::ugt: return CmpInst::ICMP_UGT;
  case CmpIPredicate::uge: return CmpInst::ICMP_UGE;
  }
  throw CodegenError("a comparison of integers has no such predicate");
}

} // namespace

//===- Types and constants -----------------------------------------------------------------===//

llvm::Type *ElementEmitter::widen(llvm::Type *scalar) const {
  return lanes == 1 ? scalar : llvm::FixedVectorType::get(scalar, lanes);
}

llvm::Type *ElementEmitter::typeOf(ElementType type) const {
  switch (type) {
  case ElementType::I1: return widen(builder.getInt1Ty());
  case ElementType::F16:
  case ElementType::BF16:
  case ElementType::F32: return widen(builder.getFloatTy());
  case ElementType::F64: return widen(builder.getDoubleTy());
  default: return widen(builder.getIntNTy(8 * bytesOf(type)));
  }
}

llvm::Type *ElementEmitter::memoryTypeOf(ElementType type) const {
  if (type == ElementType::F32 || type == ElementType::F64)
    return typeOf(type);
  return widen(builder.getIntNTy(8 * bytesOf(type)));
}

llvm::Constant *ElementEmitter::integer(ElementType type, uint64_t value) const {
  unsigned bits = type == ElementType::I1 ? 1 : 8 * bytesOf(type);
  return llvm::ConstantInt::get(typeOf(type), llvm::APInt(64, value).trunc(bits));
}

llvm::Constant *ElementEmitter::number(ElementType type, double value) const {
  return llvm::ConstantFP::get(typeOf(type), value);
}

Value *ElementEmitter::constant(const ElementOp &op) const {
  return isFloat(op.type) ? number(op.type, llvm::bit_cast<double>(op.constant))
                          : integer(op.type, op.constant);
}

//===- Memory and rounding -----------------------------------------------------------------===//

Value *ElementEmitter::fromMemory(ElementType type, Value *loaded) {
  switch (type) {
  case ElementType::I1:
    return builder.CreateICmpNE(loaded, llvm::Constant::getNullValue(loaded->getType()));
  case ElementType::F16:
    return builder.CreateFPExt(builder.CreateBitCast(loaded, widen(builder.getHalfTy())),
                               typeOf(type));
  case ElementType::BF16: {
    Value *wide = builder.CreateZExt(loaded, widen(builder.getInt32Ty()));
    return builder.CreateBitCast(builder.CreateShl(wide, 16), typeOf(type));
  }
  default: return loaded;
  }
}

Value *ElementEmitter::toMemory(ElementType type, Value *value) {
  switch (type) {
  case ElementType::I1: return builder.CreateZExt(value, memoryTypeOf(type));
  case ElementType::F16:
    return builder.CreateBitCast(builder.CreateFPTrunc(value, widen(builder.getHalfTy())),
                                 memoryTypeOf(type));
  case ElementType::BF16: {
    Value *bits = builder.CreateBitCast(value, widen(builder.getInt32Ty()));
    return builder.CreateTrunc(builder.CreateLShr(bits, 16), memoryTypeOf(type));
  }
  default: return value;
  }
}

// To the nearest, ties to even, as c10::BFloat16 does it. The machine's own instruction flushes
// denormals, and not every machine has one.
Value *ElementEmitter::roundToBFloat16(Value *value) {
  Value *bits = builder.CreateBitCast(value, widen(builder.getInt32Ty()));
  Value *odd = builder.CreateAnd(builder.CreateLShr(bits, 16), integer(ElementType::I32, 1));
  Value *bias = builder.CreateAdd(odd, integer(ElementType::I32, 0x7fff));
  Value *high =
      builder.CreateAnd(builder.CreateAdd(bits, bias), integer(ElementType::I32, 0xffff0000));
  Value *nan = integer(ElementType::I32, 0x7fc00000);
  Value *chosen = builder.CreateSelect(builder.CreateFCmpUNO(value, value), nan, high);
  return builder.CreateBitCast(chosen, typeOf(ElementType::F32));
}

Value *ElementEmitter::rounded(ElementType type, Value *value) {
  if (type == ElementType::BF16)
    return roundToBFloat16(value);
  if (type != ElementType::F16)
    return value;
  return builder.CreateFPExt(builder.CreateFPTrunc(value, widen(builder.getHalfTy())),
                             typeOf(type));
}

//===- Ops ---------------------------------------------------------------------------------===//

Value *ElementEmitter::intrinsic(unsigned id, ArrayRef<Value *> operands) {
  return builder.CreateIntrinsic(operands[0]->getType(), static_cast<Intrinsic::ID>(id), operands);
}

Value *ElementEmitter::emit(const ElementOp &op, ArrayRef<Value *> operands,
                            ElementType operandType) {
  switch (op.opcode) {
  case Opcode::Constant: return constant(op);
  case Opcode::Select: return builder.CreateSelect(operands[0], operands[1], operands[2]);
  case Opcode::CmpF: return builder.CreateFCmp(floatPredicate(op.detail), operands[0], operands[1]);
  case Opcode::CmpI:
    return builder.CreateICmp(integerPredicate(op.detail), operands[0], operands[1]);
  case Opcode::IsNaN:
  case Opcode::IsInf:
  case Opcode::IsFinite: return classify(op.opcode, operands[0]);
  case Opcode::ConvertF:
  case Opcode::SIToFP:
  case Opcode::UIToFP:
  case Opcode::FPToSI:
  case Opcode::FPToUI:
  case Opcode::ExtSI:
  case Opcode::ExtUI:
  case Opcode::TruncI:
  case Opcode::Bitcast: return conversion(op, operands[0], operandType);
  case Opcode::Call:
    return rounded(op.type, callFunction(mathFunctions()[op.detail], op.type, operands));
  default: return rounded(op.type, arithmetic(op, operands));
  }
}

Value *ElementEmitter::arithmetic(const ElementOp &op, ArrayRef<Value *> v) {
  // Which zero the greater of two zeros is, ATen leaves to the machine too.
  auto extremum = [&](unsigned id) {
    llvm::FastMathFlags flags;
    flags.setNoSignedZeros();
    Value *call = intrinsic(id, {v[0], v[1]});
    if (auto *instruction = llvm::dyn_cast<llvm::Instruction>(call))
      instruction->setFastMathFlags(flags);
    return call;
  };
  switch (op.opcode) {
  case Opcode::AddF: return builder.CreateFAdd(v[0], v[1]);
  case Opcode::SubF: return builder.CreateFSub(v[0], v[1]);
  case Opcode::MulF: return builder.CreateFMul(v[0], v[1]);
  case Opcode::DivF: return builder.CreateFDiv(v[0], v[1]);
  case Opcode::NegF: return builder.CreateFNeg(v[0]);
  case Opcode::MaximumF: return extremum(Intrinsic::maximum);
  case Opcode::MinimumF: return extremum(Intrinsic::minimum);
  case Opcode::MaxNumF: return extremum(Intrinsic::maxnum);
  case Opcode::MinNumF: return extremum(Intrinsic::minnum);
  case Opcode::AddI: return builder.CreateAdd(v[0], v[1]);
  case Opcode::SubI: return builder.CreateSub(v[0], v[1]);
  case Opcode::MulI: return builder.CreateMul(v[0], v[1]);
  case Opcode::DivSI:
  case Opcode::DivUI:
  case Opcode::RemSI:
  case Opcode::RemUI:
  case Opcode::FloorDivSI:
  case Opcode::CeilDivSI: return divide(op, v[0], v[1]);
  case Opcode::AndI: return builder.CreateAnd(v[0], v[1]);
  case Opcode::OrI: return builder.CreateOr(v[0], v[1]);
  case Opcode::XOrI: return builder.CreateXor(v[0], v[1]);
  case Opcode::ShlI: return builder.CreateShl(v[0], v[1]);
  case Opcode::ShrSI: return builder.CreateAShr(v[0], v[1]);
  case Opcode::ShrUI: return builder.CreateLShr(v[0], v[1]);
  case Opcode::MaxSI: return intrinsic(Intrinsic::smax, v);
  case Opcode::MinSI: return intrinsic(Intrinsic::smin, v);
  case Opcode::MaxUI: return intrinsic(Intrinsic::umax, v);
  case Opcode::MinUI: return intrinsic(Intrinsic::umin, v);
  case Opcode::AbsF: return intrinsic(Intrinsic::fabs, v);
  case Opcode::AbsI: return intrinsic(Intrinsic::abs, {v[0], builder.getFalse()});
  case Opcode::Ceil: return intrinsic(Intrinsic::ceil, v);
  case Opcode::Floor: return intrinsic(Intrinsic::floor, v);
  case Opcode::Trunc: return intrinsic(Intrinsic::trunc, v);
  case Opcode::RoundEven: return intrinsic(Intrinsic::roundeven, v);
  case Opcode::Round: return intrinsic(Intrinsic::round, v);
  case Opcode::Sqrt: return intrinsic(Intrinsic::sqrt, v);
  case Opcode::Rsqrt:
    return builder.CreateFDiv(number(op.type, 1), rounded(op.type, intrinsic(Intrinsic::sqrt, v)));
  case Opcode::CopySign: return intrinsic(Intrinsic::copysign, v);
  case Opcode::Fma: return intrinsic(Intrinsic::fma, v);
  case Opcode::IPowI: {
    auto *wide = typeOf(ElementType::I64);
    Value *power =
        callByLanes("bf_ipow", {builder.CreateSExt(v[0], wide), builder.CreateSExt(v[1], wide)});
    return builder.CreateTrunc(power, typeOf(op.type));
  }
  case Opcode::FPowI: {
    static const MathFunction power = {"", "pow", "u10", 2};
    return callFunction(power, op.type, {v[0], builder.CreateSIToFP(v[1], typeOf(op.type))});
  }
  default: throw CodegenError("an arithmetic op has no native code");
  }
}

Value *ElementEmitter::classify(Opcode opcode, Value *value) {
  if (opcode == Opcode::IsNaN)
    return builder.CreateFCmpUNO(value, value);
  Value *magnitude = intrinsic(Intrinsic::fabs, {value});
  Value *infinity = llvm::ConstantFP::getInfinity(value->getType());
  return opcode == Opcode::IsInf ? builder.CreateFCmpOEQ(magnitude, infinity)
                                 : builder.CreateFCmpOLT(magnitude, infinity);
}

// Out of range, the machine's conversion gives its least integer; to short integers ATen converts
// by way of a wider one, so that small values wrap.
Value *ElementEmitter::floatToInt(const ElementOp &op, Value *value) {
  bool isSigned = op.opcode == Opcode::FPToSI;
  if (op.type == ElementType::I8 || op.type == ElementType::I16)
    return builder.CreateTrunc(builder.CreateFPToSI(value, typeOf(ElementType::I32)),
                               typeOf(op.type));
  return isSigned ? builder.CreateFPToSI(value, typeOf(op.type))
                  : builder.CreateFPToUI(value, typeOf(op.type));
}

Value *ElementEmitter::conversion(const ElementOp &op, Value *value, ElementType from) {
  llvm::Type *type = typeOf(op.type);
  switch (op.opcode) {
  case Opcode::ConvertF:
    if (op.type == ElementType::F64)
      return builder.CreateFPExt(value, type);
    return rounded(op.type, from == ElementType::F64 ? builder.CreateFPTrunc(value, type) : value);
  case Opcode::SIToFP: return rounded(op.type, builder.CreateSIToFP(value, type));
  case Opcode::UIToFP: return rounded(op.type, builder.CreateUIToFP(value, type));
  case Opcode::FPToSI:
  case Opcode::FPToUI: return floatToInt(op, value);
  case Opcode::ExtSI: return builder.CreateSExt(value, type);
  case Opcode::ExtUI: return builder.CreateZExt(value, type);
  case Opcode::TruncI: return builder.CreateTrunc(value, type);
  default:
    if (value->getType() != type && (from == ElementType::F16 || from == ElementType::BF16 ||
                                     op.type == ElementType::F16 || op.type == ElementType::BF16))
      return fromMemory(op.type,
                        builder.CreateBitCast(toMemory(from, value), memoryTypeOf(op.type)));
    return builder.CreateBitCast(value, type);
  }
}

// The machine traps where the divisor is zero or the quotient does not fit; graphs must not. Lanes
// beyond a tensor's end hold zeros, too.
Value *ElementEmitter::divide(const ElementOp &op, Value *a, Value *b) {
  bool isSigned = op.opcode != Opcode::DivUI && op.opcode != Opcode::RemUI;
  Value *zero = integer(op.type, 0), *one = integer(op.type, 1);
  Value *bad = builder.CreateICmpEQ(b, zero);
  if (isSigned) {
    uint64_t least = uint64_t(1) << (8 * bytesOf(op.type) - 1);
    Value *overflows = builder.CreateAnd(builder.CreateICmpEQ(a, integer(op.type, least)),
                                         builder.CreateICmpEQ(b, integer(op.type, ~uint64_t(0))));
    bad = builder.CreateOr(bad, overflows);
  }
  b = builder.CreateSelect(bad, one, b);
  switch (op.opcode) {
  case Opcode::DivUI: return builder.CreateUDiv(a, b);
  case Opcode::RemUI: return builder.CreateURem(a, b);
  case Opcode::RemSI: return builder.CreateSRem(a, b);
  case Opcode::DivSI: return builder.CreateSDiv(a, b);
  default: break;
  }
  Value *quotient = builder.CreateSDiv(a, b);
  Value *rest = builder.CreateSub(a, builder.CreateMul(quotient, b));
  Value *inexact = builder.CreateICmpNE(rest, zero);
  Value *differ = builder.CreateICmpSLT(builder.CreateXor(rest, b), zero);
  if (op.opcode == Opcode::FloorDivSI)
    return builder.CreateSelect(builder.CreateAnd(inexact, differ),
                                builder.CreateSub(quotient, one), quotient);
  return builder.CreateSelect(builder.CreateAnd(inexact, builder.CreateNot(differ)),
                              builder.CreateAdd(quotient, one), quotient);
}

//===- Functions of the maths library ------------------------------------------------------===//

// Sleef's vector functions where torch brings them, as ATen's kernels do, else libm's element by
// element.
Value *ElementEmitter::callFunction(const MathFunction &function, ElementType type,
                                    ArrayRef<Value *> operands) {
  bool isDouble = type == ElementType::F64;
  std::string scalar(function.name);
  if (!isDouble)
    scalar += 'f';
  unsigned pieceLanes = std::min(lanes, vectorBytes / (isDouble ? 8 : 4));
  if (lanes > 1) {
    std::string vector =
        "Sleef_" + std::string(function.name) + (isDouble ? "d" : "f") + std::to_string(pieceLanes);
    if (!function.accuracy.empty())
      vector += "_" + std::string(function.accuracy);
    if (findSymbol(vector))
      return callByPieces(vector, pieceLanes, operands);
  }
  return callByLanes(scalar, operands);
}

Value *ElementEmitter::callByPieces(llvm::StringRef symbol, unsigned pieceLanes,
                                    ArrayRef<Value *> operands) {
  llvm::Type *element = operands[0]->getType()->getScalarType();
  auto *piece = llvm::FixedVectorType::get(element, pieceLanes);
  llvm::SmallVector<llvm::Type *, 2> types(operands.size(), piece);
  auto *callee = llvm::FunctionType::get(piece, types, false);
  llvm::FunctionCallee function =
      builder.GetInsertBlock()->getModule()->getOrInsertFunction(symbol, callee);
  if (pieceLanes == lanes)
    return builder.CreateCall(function, operands);
  llvm::SmallVector<Value *> results;
  for (unsigned first = 0; first < lanes; first += pieceLanes) {
    llvm::SmallVector<int> indices(pieceLanes);
    std::iota(indices.begin(), indices.end(), first);
    llvm::SmallVector<Value *, 2> parts;
    for (Value *operand : operands)
      parts.push_back(builder.CreateShuffleVector(operand, indices));
    results.push_back(builder.CreateCall(function, parts));
  }
  while (results.size() > 1) {
    unsigned width = llvm::cast<llvm::FixedVectorType>(results[0]->getType())->getNumElements();
    llvm::SmallVector<int> indices(2 * width);
    std::iota(indices.begin(), indices.end(), 0);
    llvm::SmallVector<Value *> wider;
    for (size_t i = 0; i < results.size(); i += 2)
      wider.push_back(builder.CreateShuffleVector(results[i], results[i + 1], indices));
    results = std::move(wider);
  }
  return results[0];
}

Value *ElementEmitter::callByLanes(llvm::StringRef symbol, ArrayRef<Value *> operands) {
  llvm::Type *element = operands[0]->getType()->getScalarType();
  llvm::SmallVector<llvm::Type *, 2> types(operands.size(), element);
  llvm::FunctionCallee function = builder.GetInsertBlock()->getModule()->getOrInsertFunction(
      symbol, llvm::FunctionType::get(element, types, false));
  if (lanes == 1)
    return builder.CreateCall(function, operands);
  Value *result = llvm::PoisonValue::get(operands[0]->getType());
  for (unsigned lane = 0; lane < lanes; ++lane) {
    llvm::SmallVector<Value *, 2> parts;
    for (Value *operand : operands)
      parts.push_back(builder.CreateExtractElement(operand, lane));
    result = builder.CreateInsertElement(result, builder.CreateCall(function, parts), lane);
  }
  return result;
}

} // namespace bifront
