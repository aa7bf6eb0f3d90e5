// From a functional graph to a Program that runs.
#pragma once

#include "codegen/codegen_error.h"
#include "runtime/program.h"

#include "mlir/IR/BuiltinOps.h"

#include <memory>
#include <string>

namespace bifront {

struct CodegenOptions {
  // Without machine code the program can be looked at, but not run.
  bool emitCode = true;
  // Receives the LLVM IR of what is compiled, where wanted.
  std::string *llvmIr = nullptr;
  // Receives the program as text (print_program.h), where wanted.
  std::string *programText = nullptr;
};

// The module holds one function, as the pipeline leaves it; its ops may be put in another order.
// The functions of program.h must have been registered (native_symbols.h). Throws CodegenError.
std::shared_ptr<Program> compile(mlir::ModuleOp module, const CodegenOptions &options);

} // namespace bifront
