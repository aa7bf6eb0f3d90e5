#include "run_native.h"

#include "codegen/compile.h"
#include "codegen/native_symbols.h"
#include "reference/interpreter.h"
#include "runtime/executor.h"

#include <dlfcn.h>

namespace bifront {

struct NativeModule::Compiled {
  explicit Compiled(std::shared_ptr<Program> program) : executor(std::move(program)) {}
  Executor executor;
};

NativeModule::NativeModule(mlir::ModuleOp module) {
  for (const RuntimeFunction &function : runtimeFunctions())
    registerSymbol(function.name, function.address);
  // It has Sleef's vector functions.
  if (void *torch = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD))
    registerLibrary(torch);
  compiled = std::make_unique<Compiled>(compile(module, CodegenOptions()));
}

NativeModule::~NativeModule() = default;

std::vector<c10::IValue> NativeModule::run(const std::vector<c10::IValue> &inputs) {
  std::vector<c10::IValue> outputs;
  RunResult result = compiled->executor.run(inputs, outputs);
  if (result.status == RunResult::Status::AssertionFailed)
    throw AssertionFailed(compiled->executor.program().asserts[result.assertion].message);
  if (result.status == RunResult::Status::Threw)
    std::rethrow_exception(result.exception);
  return outputs;
}

} // namespace bifront
