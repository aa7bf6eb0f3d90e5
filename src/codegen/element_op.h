// Scalar arithmetic as plain data: one op of `arith` or `math` on elements, whether it computes one
// number of the graph or a vector of a tensor's elements. Plain, so that kernels can be compared,
// kept and compiled again after their module is gone.
#pragma once

#include "support/tensor_type.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mlir {
class Operation;
class Type;
} // namespace mlir

namespace bifront {

// Unsigned bytes are I8: the ops say whether they are signed.
enum class ElementType : uint8_t { I1, I8, I16, I32, I64, F16, BF16, F32, F64 };

// Throws CodegenError for types that elements do not have.
ElementType elementTypeOf(mlir::Type type);
ElementType elementTypeOf(DType dtype);
bool isFloat(ElementType type);
// In memory; a bool takes a byte.
int64_t bytesOf(ElementType type);

enum class Opcode : uint8_t {
  Constant,
  AddF,
  SubF,
  MulF,
  DivF,
  NegF,
  MaximumF,
  MinimumF,
  MaxNumF,
  MinNumF,
  CmpF,
  AddI,
  SubI,
  MulI,
  DivSI,
  DivUI,
  RemSI,
  RemUI,
  FloorDivSI,
  CeilDivSI,
  AndI,
  OrI,
  XOrI,
  ShlI,
  ShrSI,
  ShrUI,
  MaxSI,
  MinSI,
  MaxUI,
  MinUI,
  CmpI,
  Select,
  ConvertF,
  SIToFP,
  UIToFP,
  FPToSI,
  FPToUI,
  ExtSI,
  ExtUI,
  TruncI,
  Bitcast,
  AbsF,
  AbsI,
  Ceil,
  Floor,
  Trunc,
  RoundEven,
  Round,
  Sqrt,
  Rsqrt,
  CopySign,
  Fma,
  IsNaN,
  IsInf,
  IsFinite,
  IPowI,
  FPowI,
  Call, // of a function of the maths library: `detail` is its number in mathFunctions()
};

// A square root that is to have the bits of MKL's (bf::kFromLibraryAttr).
constexpr uint8_t kFromLibrary = 1;

struct ElementOp {
  Opcode opcode;
  ElementType type;   // of the result
  uint8_t detail = 0; // a predicate, as arith numbers them, a function, or kFromLibrary
  std::array<uint32_t, 3> operands{};
  uint64_t constant = 0; // the bits of an integer, or of a float as a double
  bool operator==(const ElementOp &) const = default;
};

// exp: `exp` and `expf` in libm, `Sleef_expf16_u10` and its like in Sleef.
struct MathFunction {
  std::string_view mlirName; // "math.exp"
  std::string_view name;
  std::string_view accuracy; // Sleef's suffix; empty where it has none
  unsigned arity;
};
const std::vector<MathFunction> &mathFunctions();

unsigned arityOf(const ElementOp &op);

// The op without its operands. Throws CodegenError for an op that has no native code.
ElementOp elementOpOf(mlir::Operation *op);

} // namespace bifront
