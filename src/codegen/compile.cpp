#include "codegen/compile.h"

#include "codegen/build_program.h"
#include "codegen/jit.h"
#include "codegen/kernel_cache.h"
#include "codegen/lower_kernel.h"
#include "codegen/print_program.h"
#include "codegen/schedule_stores.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/IR/Module.h"

#include <mutex>

namespace bifront {
namespace {

// All machine code of a program: that of its own module, of kernels that other programs brought,
// and of variants that were compiled during runs.
class ProgramCode {
public:
  void keep(std::shared_ptr<const CodeModule> module) {
    std::lock_guard lock(mutex);
    modules.push_back(std::move(module));
  }

private:
  std::mutex mutex;
  std::vector<std::shared_ptr<const CodeModule>> modules;
};

// `code` is weak because the program owns both.
KernelVariant variantOf(std::shared_ptr<const KernelBody> body, std::weak_ptr<ProgramCode> code) {
  return [body = std::move(body),
          code = std::move(code)](const std::vector<InnerAccess> &access) -> KernelFn {
    std::shared_ptr<ProgramCode> owner = code.lock();
    if (!owner)
      return nullptr;
    try {
      CompiledKernel kernel = kernelFor(*body, access);
      owner->keep(kernel.code);
      return kernel.fn;
    } catch (const CodegenError &) {
      return nullptr; // the executor copes with what it has
    }
  };
}

mlir::func::FuncOp onlyFunctionOf(mlir::ModuleOp module) {
  auto functions = module.getOps<mlir::func::FuncOp>();
  if (functions.empty() || std::next(functions.begin()) != functions.end())
    throw CodegenError("a module with other than one function has no native code yet");
  return *functions.begin();
}

// The entry and all kernels that no other program has, as one module.
void emitCode(BuiltProgram &built, const std::string &entry, std::string *llvmIr) {
  Program &program = built.program;
  auto code = std::make_shared<ProgramCode>();
  std::vector<std::string> keys;
  llvm::StringMap<size_t> missing; // key to the first step that has it
  for (size_t k = 0; k < program.kernels.size(); ++k) {
    KernelStep &step = program.kernels[k];
    keys.push_back(kernelKey(*built.kernelBodies[k], step.access));
    step.symbol = kernelSymbol(keys.back());
    step.variant = variantOf(built.kernelBodies[k], code);
    if (CompiledKernel kernel = findKernel(keys.back()); kernel.fn) {
      step.fn = kernel.fn;
      code->keep(kernel.code);
    } else {
      missing.try_emplace(keys.back(), k);
    }
  }
  std::shared_ptr<const CodeModule> module = compileModule(
      [&](llvm::Module &into) {
        lowerEntry(into, entry, built.entry);
        for (const auto &kernel : missing) {
          const KernelStep &step = program.kernels[kernel.second];
          lowerKernel(into, step.symbol, *built.kernelBodies[kernel.second], step.access,
                      hostVectorBytes());
        }
      },
      llvmIr);
  for (size_t k = 0; k < program.kernels.size(); ++k) {
    KernelStep &step = program.kernels[k];
    if (step.fn)
      continue;
    step.fn = reinterpret_cast<KernelFn>(module->addressOf(step.symbol));
    addKernel(keys[k], {step.fn, module});
  }
  program.entry = reinterpret_cast<EntryFn>(module->addressOf(entry));
  code->keep(std::move(module));
  program.code = std::move(code);
}

} // namespace

std::shared_ptr<Program> compile(mlir::ModuleOp module, const CodegenOptions &options) {
  mlir::func::FuncOp function = onlyFunctionOf(module);
  if (!function.getBody().hasOneBlock())
    throw CodegenError("a function with control flow has no native code yet");
  scheduleStores(function.getBody().front());
  BuiltProgram built = buildProgram(function);
  applyMemoryPlan(built, planMemory(built.memorySlots, built.memorySteps));
  if (options.emitCode)
    emitCode(built, "bf_entry_" + function.getName().str(), options.llvmIr);
  else
    for (size_t k = 0; k < built.program.kernels.size(); ++k)
      built.program.kernels[k].symbol =
          kernelSymbol(kernelKey(*built.kernelBodies[k], built.program.kernels[k].access));
  if (options.programText)
    *options.programText = printProgram(built.program, built.entry);
  return std::make_shared<Program>(std::move(built.program));
}

} // namespace bifront
