#include "codegen/element_op.h"

#include "codegen/codegen_error.h"
#include "ir/bf_dialect.h"
#include "ir/vector_library.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace bifront {
namespace {

struct OpcodeRow {
  Opcode opcode;
  unsigned arity;
  const char *name;
};

const OpcodeRow kOpcodes[] = {
    {Opcode::AddF, 2, "arith.addf"},
    {Opcode::SubF, 2, "arith.subf"},
    {Opcode::MulF, 2, "arith.mulf"},
    {Opcode::DivF, 2, "arith.divf"},
    {Opcode::NegF, 1, "arith.negf"},
    {Opcode::MaximumF, 2, "arith.maximumf"},
    {Opcode::MinimumF, 2, "arith.minimumf"},
    {Opcode::MaxNumF, 2, "arith.maxnumf"},
    {Opcode::MinNumF, 2, "arith.minnumf"},
    {Opcode::CmpF, 2, "arith.cmpf"},
    {Opcode::AddI, 2, "arith.addi"},
    {Opcode::SubI, 2, "arith.subi"},
    {Opcode::MulI, 2, "arith.muli"},
    {Opcode::DivSI, 2, "arith.divsi"},
    {Opcode::DivUI, 2, "arith.divui"},
    {Opcode::RemSI, 2, "arith.remsi"},
    {Opcode::RemUI, 2, "arith.remui"},
    {Opcode::FloorDivSI, 2, "arith.floordivsi"},
    {Opcode::CeilDivSI, 2, "arith.ceildivsi"},
    {Opcode::AndI, 2, "arith.andi"},
    {Opcode::OrI, 2, "arith.ori"},
    {Opcode::XOrI, 2, "arith.xori"},
    {Opcode::ShlI, 2, "arith.shli"},
    {Opcode::ShrSI, 2, "arith.shrsi"},
    {Opcode::ShrUI, 2, "arith.shrui"},
    {Opcode::MaxSI, 2, "arith.maxsi"},
    {Opcode::MinSI, 2, "arith.minsi"},
    {Opcode::MaxUI, 2, "arith.maxui"},
    {Opcode::MinUI, 2, "arith.minui"},
    {Opcode::CmpI, 2, "arith.cmpi"},
    {Opcode::Select, 3, "arith.select"},
    {Opcode::ConvertF, 1, "arith.extf"},
    {Opcode::ConvertF, 1, "arith.truncf"},
    {Opcode::SIToFP, 1, "arith.sitofp"},
    {Opcode::UIToFP, 1, "arith.uitofp"},
    {Opcode::FPToSI, 1, "arith.fptosi"},
    {Opcode::FPToUI, 1, "arith.fptoui"},
    {Opcode::ExtSI, 1, "arith.extsi"},
    {Opcode::ExtUI, 1, "arith.extui"},
    {Opcode::TruncI, 1, "arith.trunci"},
    {Opcode::Bitcast, 1, "arith.bitcast"},
    {Opcode::AbsF, 1, "math.absf"},
    {Opcode::AbsI, 1, "math.absi"},
    {Opcode::Ceil, 1, "math.ceil"},
    {Opcode::Floor, 1, "math.floor"},
    {Opcode::Trunc, 1, "math.trunc"},
    {Opcode::RoundEven, 1, "math.roundeven"},
    {Opcode::Round, 1, "math.round"},
    {Opcode::Sqrt, 1, "math.sqrt"},
    {Opcode::Rsqrt, 1, "math.rsqrt"},
    {Opcode::CopySign, 2, "math.copysign"},
    {Opcode::Fma, 3, "math.fma"},
    {Opcode::IsNaN, 1, "math.isnan"},
    {Opcode::IsInf, 1, "math.isinf"},
    {Opcode::IsFinite, 1, "math.isfinite"},
    {Opcode::IPowI, 2, "math.ipowi"},
    {Opcode::FPowI, 2, "math.fpowi"},
};

const llvm::StringMap<ElementOp> &opsByName() {
  static const auto *ops = [] {
    auto *made = new llvm::StringMap<ElementOp>();
    for (const OpcodeRow &row : kOpcodes)
      (*made)[row.name] = {row.opcode, ElementType::I1};
    for (size_t i = 0; i < mathFunctions().size(); ++i)
      (*made)[llvm::StringRef(mathFunctions()[i].mlirName)] = {Opcode::Call, ElementType::I1,
                                                               static_cast<uint8_t>(i)};
    return made;
  }();
  return *ops;
}

uint64_t bitsOf(Attribute value) {
  if (auto integer = dyn_cast<IntegerAttr>(value)) {
    APInt bits = integer.getValue();
    return bits.getBitWidth() == 1 ? bits.getZExtValue() : bits.sextOrTrunc(64).getZExtValue();
  }
  if (auto number = dyn_cast<FloatAttr>(value))
    return llvm::bit_cast<uint64_t>(number.getValueAsDouble());
  throw CodegenError("a constant is neither an integer nor a float");
}

} // namespace

const std::vector<MathFunction> &mathFunctions() {
  static const std::vector<MathFunction> functions = {
      {"math.exp", "exp", "u10", 1},     {"math.exp2", "exp2", "u10", 1},
      {"math.expm1", "expm1", "u10", 1}, {"math.log", "log", "u10", 1},
      {"math.log2", "log2", "u10", 1},   {"math.log10", "log10", "u10", 1},
      {"math.log1p", "log1p", "u10", 1}, {"math.sin", "sin", "u10", 1},
      {"math.cos", "cos", "u10", 1},     {"math.tan", "tan", "u10", 1},
      {"math.asin", "asin", "u10", 1},   {"math.acos", "acos", "u10", 1},
      {"math.atan", "atan", "u10", 1},   {"math.sinh", "sinh", "u10", 1},
      {"math.cosh", "cosh", "u10", 1},   {"math.tanh", "tanh", "u10", 1},
      {"math.asinh", "asinh", "u10", 1}, {"math.acosh", "acosh", "u10", 1},
      {"math.atanh", "atanh", "u10", 1}, {"math.cbrt", "cbrt", "u10", 1},
      {"math.erf", "erf", "u10", 1},     {"math.erfc", "erfc", "u15", 1},
      {"math.atan2", "atan2", "u10", 2}, {"math.powf", "pow", "u10", 2},
      {"arith.remf", "fmod", "", 2},
  };
  return functions;
}

ElementType elementTypeOf(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type)) {
    switch (integer.getWidth()) {
    case 1: return ElementType::I1;
    case 8: return ElementType::I8;
    case 16: return ElementType::I16;
    case 32: return ElementType::I32;
    case 64: return ElementType::I64;
    default: break;
    }
  }
  if (isa<bf::ObjectType>(type)) // an address
    return ElementType::I64;
  if (type.isF16())
    return ElementType::F16;
  if (type.isBF16())
    return ElementType::BF16;
  if (type.isF32())
    return ElementType::F32;
  if (type.isF64())
    return ElementType::F64;
  std::string text;
  llvm::raw_string_ostream(text) << type;
  throw CodegenError("there is no native arithmetic on " + text);
}

ElementType elementTypeOf(DType dtype) {
  switch (dtype) {
  case DType::Bool: return ElementType::I1;
  case DType::UInt8:
  case DType::Int8: return ElementType::I8;
  case DType::Int16: return ElementType::I16;
  case DType::Int32: return ElementType::I32;
  case DType::Int64: return ElementType::I64;
  case DType::Half: return ElementType::F16;
  case DType::BFloat16: return ElementType::BF16;
  case DType::Float: return ElementType::F32;
  case DType::Double: return ElementType::F64;
  case DType::ComplexHalf:
  case DType::ComplexFloat:
  case DType::ComplexDouble: break;
  }
  throw CodegenError("there is no native arithmetic on complex elements");
}

bool isFloat(ElementType type) { return type >= ElementType::F16; }

int64_t bytesOf(ElementType type) {
  switch (type) {
  case ElementType::I1:
  case ElementType::I8: return 1;
  case ElementType::I16:
  case ElementType::F16:
  case ElementType::BF16: return 2;
  case ElementType::I32:
  case ElementType::F32: return 4;
  case ElementType::I64:
  case ElementType::F64: return 8;
  }
  return 0;
}

unsigned arityOf(const ElementOp &op) {
  if (op.opcode == Opcode::Call)
    return mathFunctions()[op.detail].arity;
  for (const OpcodeRow &row : kOpcodes)
    if (row.opcode == op.opcode)
      return row.arity;
  return 0; // a constant
}

ElementOp elementOpOf(Operation *op) {
  std::string name = op->getName().getStringRef().str();
  if (op->getNumResults() != 1)
    throw CodegenError("there is no native code for '" + name + "'");
  ElementType type = elementTypeOf(op->getResult(0).getType());
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return {Opcode::Constant, type, 0, {}, bitsOf(constant.getValue())};
  auto found = opsByName().find(name);
  if (found == opsByName().end())
    throw CodegenError("there is no native code for '" + name + "'");
  ElementOp result = found->second;
  result.type = type;
  if (auto compare = dyn_cast<arith::CmpFOp>(op))
    result.detail = static_cast<uint8_t>(compare.getPredicate());
  if (op->hasAttr(bf::kFromLibraryAttr))
    result.detail = kFromLibrary;
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    result.detail = static_cast<uint8_t>(compare.getPredicate());
  return result;
}

} // namespace bifront
