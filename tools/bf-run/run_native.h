// Runs a module's first function as machine code.
#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <ATen/core/ivalue.h>

#include <memory>
#include <vector>

namespace bifront {

class NativeModule {
public:
  // Throws where codegen refuses the module. The module is consumed: codegen may change it.
  explicit NativeModule(mlir::ModuleOp module);
  ~NativeModule();
  // Throws what the graph throws; a failed assertion as AssertionFailed.
  std::vector<c10::IValue> run(const std::vector<c10::IValue> &inputs);

private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled;
};

} // namespace bifront
