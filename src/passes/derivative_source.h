// Where the autodiff pass gets the derivative of one op from. Capture implements it by running
// PyTorch's own autograd on proxies.
#pragma once

#include "support/aten_call.h"
#include "support/tensor_type.h"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace mlir {
class MLIRContext;
class ModuleOp;
} // namespace mlir

namespace bifront {

struct DerivativeRequest {
  AtenCall call;
  std::vector<ValueType> operands;
  std::vector<bool> differentiable; // per operand: is its gradient wanted
  std::vector<bool> seeded;         // per result: does a gradient flow into it
  // Per operand: what an int operand (a size, say) is in each of the two shape worlds, where known;
  // the result shapes that depend on it are inferred from that.
  std::vector<std::optional<Dim>> ints;
  // What the call returns: where values decide a shape, nothing else tells it.
  std::vector<ValueType> results = {};
};

// A module with one function
//   (operands..., gradients of the seeded results...) -> (results of the call..., gradient of each
//    wanted operand...)
// that runs the call and then its derivative. An operand's gradient that is zero whatever the
// inputs is left out, and `gradientOf` lists the operands whose gradients are returned.
struct Derivative {
  std::shared_ptr<mlir::ModuleOp> module;
  std::vector<uint32_t> gradientOf;
};

class DerivativeSource {
public:
  virtual ~DerivativeSource() = default;
  // Throws std::runtime_error with a sentence where PyTorch has no derivative.
  virtual Derivative derive(mlir::MLIRContext &context, const DerivativeRequest &request) = 0;
};

} // namespace bifront
