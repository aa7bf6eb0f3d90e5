#include "passes/type_promotion.h"

#include "ir/aten_op.h"

#include <algorithm>

namespace bifront {

bool isComplex(DType dtype) {
  return dtype == DType::ComplexHalf || dtype == DType::ComplexFloat ||
         dtype == DType::ComplexDouble;
}

bool isFloating(DType dtype) {
  return dtype == DType::Half || dtype == DType::BFloat16 || dtype == DType::Float ||
         dtype == DType::Double;
}

bool isIntegral(DType dtype) { return !isComplex(dtype) && !isFloating(dtype); }

static DType complexOf(DType real) {
  switch (real) {
  case DType::Half: return DType::ComplexHalf;
  case DType::Double: return DType::ComplexDouble;
  default: return DType::ComplexFloat; // BFloat16 has no complex of its own
  }
}

static DType realOf(DType complex) {
  switch (complex) {
  case DType::ComplexHalf: return DType::Half;
  case DType::ComplexDouble: return DType::Double;
  default: return DType::Float;
  }
}

DType promoteTypes(DType a, DType b) {
  if (a == b)
    return a;
  if (isComplex(a) || isComplex(b)) {
    // complex<half> with bfloat16 needs a wider part.
    DType left = isComplex(a) ? realOf(a) : a, right = isComplex(b) ? realOf(b) : b;
    if (isIntegral(left))
      return complexOf(right);
    if (isIntegral(right))
      return complexOf(left);
    return complexOf(promoteTypes(left, right));
  }
  if (isFloating(a) && isFloating(b)) {
    if (a == DType::Double || b == DType::Double)
      return DType::Double;
    return DType::Float; // float with a half, or the two halves
  }
  if (isFloating(a))
    return a;
  if (isFloating(b))
    return b;
  if (a == DType::Bool)
    return b;
  if (b == DType::Bool)
    return a;
  if (a == DType::UInt8)
    return b == DType::Int8 ? DType::Int16 : b;
  if (b == DType::UInt8)
    return a == DType::Int8 ? DType::Int16 : a;
  return std::max(a, b);
}

void Promotion::addTensor(DType dtype, int64_t rank) {
  auto &slot = rank > 0 ? dimensioned : zeroDim;
  slot = slot ? promoteTypes(*slot, dtype) : dtype;
}

void Promotion::addNumber(DType dtype) {
  if (dtype == DType::Double)
    dtype = DType::Float;
  else if (dtype == DType::ComplexDouble)
    dtype = DType::ComplexFloat;
  number = number ? promoteTypes(*number, dtype) : dtype;
}

void Promotion::addOperand(mlir::Type type) {
  if (auto tensor = mlir::dyn_cast<mlir::RankedTensorType>(type))
    addTensor(dtypeOf(tensor.getElementType()), tensor.getRank());
  else
    addNumber(dtypeOf(type));
}

// c10's combine_categories: the higher priority wins unless the lower is of a higher category.
static std::optional<DType> combine(std::optional<DType> higher, std::optional<DType> lower) {
  if (!higher || !lower)
    return higher ? higher : lower;
  if (isComplex(*higher))
    return higher;
  if (isFloating(*higher))
    return isComplex(*lower) ? complexOf(*higher) : *higher;
  if (*higher == DType::Bool || !isIntegral(*lower))
    return promoteTypes(*higher, *lower);
  return higher;
}

std::optional<DType> Promotion::result() const {
  return combine(dimensioned, combine(zeroDim, number));
}

} // namespace bifront
