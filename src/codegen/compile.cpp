#include "codegen/compile.h"

#include "codegen/apply_memory_plan.h"
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

// The functions of a module in numbers: the first is the graph, the others are what it calls.
struct BuiltModule {
  std::vector<BuiltProgram> programs;
  std::vector<std::string> entries; // symbols of the native functions
  std::vector<AssertSpec> asserts;
};

BuiltModule buildModule(mlir::ModuleOp module) {
  auto functions = llvm::to_vector(module.getOps<mlir::func::FuncOp>());
  if (functions.empty())
    throw CodegenError("the module has no function");
  FunctionNumbers callees;
  for (size_t k = 1; k < functions.size(); ++k)
    callees[functions[k].getName()] = k - 1;
  BuiltModule built;
  for (mlir::func::FuncOp function : functions) {
    if (!function.getBody().hasOneBlock())
      throw CodegenError("a function of several blocks has no native code");
    scheduleStores(function.getBody().front());
    BuiltProgram program = buildProgram(function, callees, built.asserts);
    MemoryPlan plan = planMemory(program.memorySlots, program.memorySteps);
    if (function != functions.front()) {
      if (!program.program.stores.empty())
        throw CodegenError("'" + function.getName().str() + "' stores, which only the graph may");
      // A call may begin while others of the same function are in progress.
      plan.offsets.assign(plan.offsets.size(), -1);
      plan.arenaBytes = 0;
    }
    applyMemoryPlan(program, plan);
    built.programs.push_back(std::move(program));
    built.entries.push_back("bf_entry_" + function.getName().str());
  }
  return built;
}

// Finds or makes machine code for the kernels of a module, each once.
class KernelCode {
public:
  explicit KernelCode(std::shared_ptr<ProgramCode> code) : code(std::move(code)) {}

  void find(BuiltProgram &built) {
    for (size_t k = 0; k < built.program.kernels.size(); ++k) {
      KernelStep &step = built.program.kernels[k];
      std::string key = kernelKey(*built.kernelBodies[k], step.access);
      step.symbol = kernelSymbol(key);
      step.variant = variantOf(built.kernelBodies[k], code);
      if (CompiledKernel kernel = findKernel(key); kernel.fn) {
        step.fn = kernel.fn;
        code->keep(kernel.code);
      } else {
        missing[key].push_back({&step, built.kernelBodies[k].get()});
      }
    }
  }

  void make(std::string *llvmIr) {
    if (missing.empty())
      return;
    std::shared_ptr<const CodeModule> module = compileModule(
        [&](llvm::Module &into) {
          for (const auto &kernel : missing)
            lowerKernel(into, kernel.second[0].step->symbol, *kernel.second[0].body,
                        kernel.second[0].step->access, hostVectorBytes());
        },
        Effort::Full, llvmIr);
    for (const auto &kernel : missing) {
      auto fn = reinterpret_cast<KernelFn>(module->addressOf(kernel.second[0].step->symbol));
      for (const Use &use : kernel.second)
        use.step->fn = fn;
      addKernel(kernel.first().str(), {fn, module});
    }
    code->keep(std::move(module));
  }

private:
  struct Use {
    KernelStep *step;
    const KernelBody *body;
  };
  std::shared_ptr<ProgramCode> code;
  llvm::StringMap<std::vector<Use>> missing; // by key
};

// The entries as one module, and all kernels that no other program has as another.
void emitCode(BuiltModule &built, std::string *llvmIr) {
  auto code = std::make_shared<ProgramCode>();
  KernelCode kernels(code);
  for (BuiltProgram &program : built.programs)
    kernels.find(program);
  std::shared_ptr<const CodeModule> module = compileModule(
      [&](llvm::Module &into) {
        for (size_t k = 0; k < built.programs.size(); ++k)
          lowerEntry(into, built.entries[k], built.programs[k].entry);
      },
      Effort::Little, llvmIr);
  kernels.make(llvmIr);
  for (size_t k = 0; k < built.programs.size(); ++k)
    built.programs[k].program.entry =
        reinterpret_cast<EntryFn>(module->addressOf(built.entries[k]));
  code->keep(std::move(module));
  built.programs[0].program.code = std::move(code);
}

void nameKernels(BuiltProgram &built) {
  for (size_t k = 0; k < built.program.kernels.size(); ++k)
    built.program.kernels[k].symbol =
        kernelSymbol(kernelKey(*built.kernelBodies[k], built.program.kernels[k].access));
}

std::string textOf(const BuiltModule &built) {
  std::string text =
      printProgram(built.programs[0].program, built.programs[0].entry, built.asserts);
  for (size_t k = 1; k < built.programs.size(); ++k)
    text += "\nfunction " + std::to_string(k - 1) + "\n" +
            printProgram(built.programs[k].program, built.programs[k].entry, built.asserts);
  return text;
}

} // namespace

std::shared_ptr<Program> compile(mlir::ModuleOp module, const CodegenOptions &options) {
  BuiltModule built = buildModule(module);
  if (options.emitCode)
    emitCode(built, options.llvmIr);
  else
    llvm::for_each(built.programs, nameKernels);
  if (options.programText)
    *options.programText = textOf(built);
  Program &root = built.programs[0].program;
  root.asserts = std::move(built.asserts);
  for (size_t k = 1; k < built.programs.size(); ++k)
    root.functions.push_back(std::make_shared<Program>(std::move(built.programs[k].program)));
  return std::make_shared<Program>(std::move(root));
}

} // namespace bifront
