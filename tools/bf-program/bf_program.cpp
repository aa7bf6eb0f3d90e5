// bf-program: compiles a module and prints the Program that the executor would run. Nothing is run.
#include "codegen/compile.h"
#include "codegen/native_symbols.h"
#include "ir/bf_dialect.h"
#include "ir/schema_table/schema_table.h"
#include "passes/pipeline.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/SourceMgr.h"

#include <chrono>
#include <iostream>

using namespace bifront;
namespace cl = llvm::cl;

namespace {

cl::OptionCategory category("bf-program");
cl::opt<std::string> inputFile(cl::Positional, cl::desc("<module>"), cl::init("-"),
                               cl::cat(category));
cl::opt<bool> pipeline("pipeline", cl::desc("Run the passes first"), cl::cat(category));
cl::opt<bool> llvmIr("llvm", cl::desc("Print the LLVM IR instead"), cl::cat(category));
cl::opt<bool> timing("time", cl::desc("Print how long code generation took"), cl::cat(category));

int32_t neverRun(Frame *, uint32_t) { return kThrew; }
int64_t neverAsked(Frame *, uint32_t, int64_t) { return 0; }

void registerRuntime() {
  for (const char *name : kStepFunctions)
    registerSymbol(name, reinterpret_cast<void *>(&neverRun));
  registerSymbol("bf_rt_dim", reinterpret_cast<void *>(&neverAsked));
}

int run() {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  llvm::SourceMgr sources;
  std::string problem;
  auto file = mlir::openInputFile(inputFile, &problem);
  if (!file)
    throw std::runtime_error(problem);
  sources.AddNewSourceBuffer(std::move(file), llvm::SMLoc());
  mlir::SourceMgrDiagnosticHandler diagnostics(sources, &context);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  if (!module)
    return 1;
  if (pipeline) {
    PipelineResult result = runPipeline(*module, pipelineOptions(), nullptr);
    if (!result.ok)
      throw std::runtime_error(result.reason);
  }
  registerRuntime();
  std::string ir, text;
  CodegenOptions options;
  options.llvmIr = llvmIr ? &ir : nullptr;
  options.programText = &text;
  options.emitCode = llvmIr || timing;
  auto start = std::chrono::steady_clock::now();
  compile(*module, options);
  std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  std::cout << (llvmIr ? ir : text);
  if (timing)
    std::cout << "codegen took " << spent.count() << " ms" << std::endl;
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  installSchemaTable();
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Prints what a module is compiled to\n");
  try {
    return run();
  } catch (const std::exception &error) {
    std::cerr << "bf-program: " << error.what() << std::endl;
    return 1;
  }
}
