// bf-run: runs a module's first function on random or given inputs, as machine code or op by op,
// and prints what it returns and what it stores. `bf-run --help` says how.
#include "ir/bf_dialect.h"
#include "ir/schema_table/schema_table.h"
#include "module_inputs.h"
#include "passes/pipeline.h"
#include "reference/interpreter.h"
#include "run_native.h"

#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/SourceMgr.h"

#include <ATen/ATen.h>

#include <chrono>
#include <iostream>

using namespace bifront;
namespace cl = llvm::cl;

namespace {

cl::OptionCategory category("bf-run");
cl::opt<std::string> inputFile(cl::Positional, cl::desc("<module>"), cl::init("-"),
                               cl::cat(category));
cl::opt<bool> reference("reference", cl::desc("Run op by op on ATen"), cl::cat(category));
cl::opt<bool> compareBoth("compare", cl::desc("Run both ways and compare"), cl::cat(category));
cl::opt<bool> pipeline("pipeline", cl::desc("Run the passes before machine code is made"),
                       cl::cat(category));
cl::opt<uint64_t> seed("seed", cl::desc("Of random inputs and of the run"), cl::init(0),
                       cl::cat(category));
cl::opt<unsigned> world("world", cl::desc("Which of its sizes a dynamic dimension gets: 0 or 1"),
                        cl::init(0), cl::cat(category));
cl::opt<int64_t> unknownSize("size", cl::desc("The size of a `?` without worlds"), cl::init(3),
                             cl::cat(category));
cl::opt<std::string> givenInputs("inputs",
                                 cl::desc("A list of tensors and numbers from torch.save"),
                                 cl::value_desc("file"), cl::cat(category));
cl::opt<double> tolerance("tolerance", cl::desc("For --compare, relative"), cl::init(1e-5),
                          cl::cat(category));
cl::opt<unsigned> repeat("repeat", cl::desc("Run so often and print the time of a run"),
                         cl::init(1), cl::cat(category));

struct Outcome {
  std::vector<c10::IValue> inputs, results; // inputs after the run
  std::string error;
};

template <typename Run> Outcome outcomeOf(const std::vector<c10::IValue> &inputs, Run run) {
  Outcome outcome;
  outcome.inputs = copyInputs(inputs);
  try {
    at::manual_seed(seed);
    outcome.results = run(outcome.inputs);
    if (repeat > 1) {
      auto start = std::chrono::steady_clock::now();
      for (unsigned i = 1; i < repeat; ++i)
        run(outcome.inputs);
      std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
      std::cout << spent.count() / (repeat - 1) << " us a run" << std::endl;
    }
  } catch (const std::exception &e) {
    outcome.error = e.what();
  }
  return outcome;
}

void print(const Outcome &outcome, const std::vector<c10::IValue> &before) {
  if (!outcome.error.empty()) {
    std::cout << "error: " << outcome.error.substr(0, outcome.error.find('\n')) << std::endl;
    return;
  }
  for (size_t i = 0; i < outcome.results.size(); ++i)
    std::cout << "result " << i << ": " << describe(outcome.results[i]) << std::endl;
  for (size_t i = 0; i < outcome.inputs.size(); ++i) {
    if (!outcome.inputs[i].isTensor())
      continue;
    const at::Tensor &tensor = outcome.inputs[i].toTensor();
    if (!difference(tensor, before[i], 0).empty())
      std::cout << "input " << i << " now: " << describe(tensor) << std::endl;
    if (tensor.grad().defined())
      std::cout << "input " << i << " grad: " << describe(tensor.grad()) << std::endl;
  }
}

bool agree(const Outcome &native, const Outcome &expected) {
  auto firstLine = [](const std::string &text) { return text.substr(0, text.find('\n')); };
  bool good = true;
  auto report = [&](const std::string &what, const std::string &difference) {
    if (difference.empty())
      return;
    std::cout << what << ": " << difference << std::endl;
    good = false;
  };
  if (native.error.empty() != expected.error.empty()) {
    report("error",
           "native: " + firstLine(native.error) + "; reference: " + firstLine(expected.error));
    return false;
  }
  if (native.results.size() != expected.results.size()) {
    report("results", "not as many");
    return false;
  }
  for (size_t i = 0; i < native.results.size(); ++i)
    report("result " + std::to_string(i),
           difference(native.results[i], expected.results[i], tolerance));
  for (size_t i = 0; i < native.inputs.size(); ++i) {
    report("input " + std::to_string(i),
           difference(native.inputs[i], expected.inputs[i], tolerance));
    if (native.inputs[i].isTensor())
      report("grad of input " + std::to_string(i),
             difference(native.inputs[i].toTensor().grad(), expected.inputs[i].toTensor().grad(),
                        tolerance));
  }
  std::cout << (good ? "native and reference agree" : "native and reference differ") << std::endl;
  return good;
}

int run() {
  mlir::MLIRContext context;
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
  auto functions = module->getOps<mlir::func::FuncOp>();
  if (functions.empty())
    throw std::runtime_error("the module has no function");

  std::vector<c10::IValue> inputs =
      givenInputs.empty() ? randomInputs(*functions.begin(), {seed, world, unknownSize})
                          : loadInputs(givenInputs);
  Outcome expected;
  if (reference || compareBoth)
    expected = outcomeOf(inputs, [&](const auto &in) { return interpret(*module, in); });
  if (reference && !compareBoth) {
    print(expected, inputs);
    return expected.error.empty() ? 0 : 1;
  }
  mlir::OwningOpRef<mlir::ModuleOp> lowered = module->clone();
  if (pipeline) {
    PipelineResult passes = runPipeline(*lowered, {}, nullptr);
    if (!passes.ok)
      throw std::runtime_error(passes.failedPass + ": " + passes.reason);
  }
  NativeModule native(*lowered);
  Outcome outcome = outcomeOf(inputs, [&](const auto &in) { return native.run(in); });
  if (compareBoth)
    return agree(outcome, expected) ? 0 : 1;
  print(outcome, inputs);
  return outcome.error.empty() ? 0 : 1;
}

} // namespace

int main(int argc, char **argv) {
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Runs a graph of Bifront's\n");
  if (world > 1) {
    std::cerr << "bf-run: --world is 0 or 1" << std::endl;
    return 1;
  }
  installSchemaTable();
  try {
    return run();
  } catch (const std::exception &e) {
    std::cerr << "bf-run: " << e.what() << std::endl;
    return 1;
  }
}
