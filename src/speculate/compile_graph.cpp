#include "speculate/compile_graph.h"

#include "codegen/compile.h"
#include "speculate/convert.h"
#include "speculate/kept_passes.h"
#include "speculate/link_native.h"

#include "llvm/Support/raw_ostream.h"

namespace bifront {
namespace {

std::shared_ptr<Executor> makeExecutor(mlir::ModuleOp module, std::string &text) {
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  try {
    return std::make_shared<Executor>(compile(module, {}));
  } catch (const CodegenError &error) {
    fail(ExitReason::CompileFailed, error.what());
  }
}

} // namespace

TorchDerivatives &torchDerivatives() {
  static TorchDerivatives derivatives;
  return derivatives;
}

CompiledGraph compileGraph(mlir::ModuleOp module, BackwardSplit *split) {
  linkNativeSymbols();
  PipelineResult passes = runPipelineOrRead(module, torchDerivatives(), split);
  if (!passes.ok)
    fail(ExitReason::CompileFailed, passes.failedPass + ": " + passes.reason);
  CompiledGraph compiled;
  compiled.executor = makeExecutor(module, compiled.text);
  if (split)
    compiled.gradients = makeExecutor(*split->backward, compiled.text);
  return compiled;
}

} // namespace bifront
