// PyTorch's type promotion.
#pragma once

#include "support/tensor_type.h"

#include "mlir/IR/Types.h"

#include <optional>

namespace bifront {

bool isComplex(DType dtype);
bool isFloating(DType dtype); // complex is not
bool isIntegral(DType dtype); // bool is

DType promoteTypes(DType a, DType b);

// at::result_type of tensors and Python numbers, with float as the default dtype. Nothing where no
// operand was added.
class Promotion {
public:
  // A tensor type or a number's type (i64, f64, i1, complex<f64>).
  void addOperand(mlir::Type type);
  void addTensor(DType dtype, int64_t rank);
  void addNumber(DType dtype); // Long, Double, Bool or ComplexDouble
  std::optional<DType> result() const;

private:
  std::optional<DType> dimensioned, zeroDim, number;
};

} // namespace bifront
