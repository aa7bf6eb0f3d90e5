// Derivatives that a file of the graph's own language holds, for tests without torch: for each
// schema a function of its name, in the form that derivative_source.h says, with the gradients of
// all operands in order.
#pragma once

#include "passes/derivative_source.h"

#include <string>

namespace bifront {

class WrittenDerivatives final : public DerivativeSource {
public:
  // The file is read when it is first needed.
  explicit WrittenDerivatives(const std::string &file) : file(file) {}
  Derivative derive(mlir::MLIRContext &context, const DerivativeRequest &request) override;

private:
  const std::string &file;
};

} // namespace bifront
