// Derivatives of single ops, taken from PyTorch: its autograd runs on proxies, and what it does is
// recorded.
#pragma once

#include "passes/derivative_source.h"

namespace bifront {

// Needs the GIL where the meta kernel of an op is written in Python, and takes it itself.
class TorchDerivatives final : public DerivativeSource {
public:
  Derivative derive(mlir::MLIRContext &context, const DerivativeRequest &request) override;
};

} // namespace bifront
