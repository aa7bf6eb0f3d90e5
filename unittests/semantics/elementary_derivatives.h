// Derivatives of a few ops, written down, for tests without Python: PyTorch's own come by way of its
// proxies, which src/capture makes.
#pragma once

#include "passes/derivative_source.h"

namespace bifront {

class ElementaryDerivatives final : public DerivativeSource {
public:
  Derivative derive(mlir::MLIRContext &context, const DerivativeRequest &request) override;
};

} // namespace bifront
