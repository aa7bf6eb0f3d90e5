#include "codegen/jit.h"

#include "codegen/codegen_error.h"
#include "codegen/disk_cache.h"
#include "codegen/native_symbols.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/Core.h"
#include "llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h"
#include "llvm/ExecutionEngine/Orc/SelfExecutorProcessControl.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/SubtargetFeature.h"

#include <mutex>

namespace orc = llvm::orc;

namespace bifront {
namespace {

[[noreturn]] void fail(const std::string &what, llvm::Error error) {
  throw CodegenError(what + ": " + llvm::toString(std::move(error)));
}

template <typename T> T valueOf(const std::string &what, llvm::Expected<T> expected) {
  if (!expected)
    fail(what, expected.takeError());
  return std::move(*expected);
}

// One for the process, and never destroyed: native code may run until the process ends.
class Jit {
public:
  static Jit &instance() {
    static auto *jit = new Jit();
    return *jit;
  }

  std::shared_ptr<const CodeModule> compile(const ModuleFiller &fill, Effort effort,
                                            std::string *dump);
  void remove(orc::JITDylib &library);

private:
  Jit();
  std::unique_ptr<llvm::MemoryBuffer> objectFor(llvm::Module &module, Effort effort);
  std::unique_ptr<llvm::MemoryBuffer> emitObject(llvm::Module &module, Effort effort);
  void setTargetAttributes(llvm::Module &module);
  orc::SymbolMap externalSymbols(const llvm::Module &module);

  std::mutex mutex;
  std::unique_ptr<llvm::TargetMachine> machine, quickMachine;
  std::string vectorWidth;
  std::unique_ptr<orc::ExecutionSession> session;
  std::unique_ptr<orc::ObjectLinkingLayer> linker;
  uint64_t modules = 0;
};

class LinkedModule final : public CodeModule {
public:
  LinkedModule(orc::JITDylib &library, size_t bytes) : library(library), bytes(bytes) {}
  ~LinkedModule() override { Jit::instance().remove(library); }
  void *addressOf(std::string_view symbol) const override {
    auto found = addresses.find(llvm::StringRef(symbol));
    if (found == addresses.end())
      throw CodegenError("native code has no function " + std::string(symbol));
    return found->second;
  }
  size_t codeBytes() const override { return bytes; }

  llvm::StringMap<void *> addresses;

private:
  orc::JITDylib &library;
  size_t bytes;
};

llvm::StringMap<bool> &hostFeatures() {
  static auto *features = new llvm::StringMap<bool>(llvm::sys::getHostCPUFeatures());
  return *features;
}

Jit::Jit() {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::Triple triple(llvm::sys::getProcessTriple());
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    throw CodegenError("LLVM has no code generator for this machine: " + error);
  llvm::SubtargetFeatures features;
  for (const auto &feature : hostFeatures())
    features.AddFeature(feature.first(), feature.second);
  llvm::TargetOptions options;
  auto machineOf = [&](llvm::CodeGenOptLevel level) {
    return target->createTargetMachine(triple, llvm::sys::getHostCPUName(), features.getString(),
                                       options, llvm::Reloc::PIC_, llvm::CodeModel::Small, level,
                                       /*JIT=*/true);
  };
  machine.reset(machineOf(llvm::CodeGenOptLevel::Default));
  quickMachine.reset(machineOf(llvm::CodeGenOptLevel::None));
  vectorWidth = std::to_string(8 * hostVectorBytes());
  auto control = valueOf("the linker cannot start",
                         orc::SelfExecutorProcessControl::Create(
                             nullptr, std::make_unique<orc::InPlaceTaskDispatcher>()));
  session = std::make_unique<orc::ExecutionSession>(std::move(control));
  session->setErrorReporter([](llvm::Error error) { llvm::consumeError(std::move(error)); });
  linker = std::make_unique<orc::ObjectLinkingLayer>(*session);
}

void Jit::setTargetAttributes(llvm::Module &module) {
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("prefer-vector-width", vectorWidth);
    function.addFnAttr("min-legal-vector-width", vectorWidth);
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
}

std::unique_ptr<llvm::MemoryBuffer> Jit::emitObject(llvm::Module &module, Effort effort) {
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  auto &emitter = effort == Effort::Full ? machine : quickMachine;
  if (emitter->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile,
                                   /*DisableVerify=*/true))
    throw CodegenError("LLVM cannot emit machine code for this machine");
  passes.run(module);
  return std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(object), module.getName(),
                                                         false);
}

// As an earlier process has kept it, if any. The LLVM IR, the effort and the machine say all about
// the object; other code is met by name when it is linked.
std::unique_ptr<llvm::MemoryBuffer> Jit::objectFor(llvm::Module &module, Effort effort) {
  if (!usesDiskCache())
    return emitObject(module, effort);
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  DiskCacheEntry entry(effort == Effort::Full ? "code" : "quick", text);
  if (auto kept = entry.read())
    return llvm::MemoryBuffer::getMemBufferCopy(*kept, module.getName());
  std::unique_ptr<llvm::MemoryBuffer> object = emitObject(module, effort);
  entry.write({object->getBufferStart(), object->getBufferSize()});
  return object;
}

// The code generator adds calls of its own (memset, fmod), so all that is undefined in the object
// is asked for, not only what the module declares.
class ExternalSymbols final : public orc::DefinitionGenerator {
public:
  llvm::Error tryToGenerate(orc::LookupState &, orc::LookupKind, orc::JITDylib &library,
                            orc::JITDylibLookupFlags, const orc::SymbolLookupSet &wanted) override {
    orc::SymbolMap found;
    for (const auto &[name, flags] : wanted)
      if (void *address = findSymbol(std::string_view((*name).data(), (*name).size())))
        found[name] = {orc::ExecutorAddr::fromPtr(address),
                       llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
    return found.empty() ? llvm::Error::success()
                         : library.define(orc::absoluteSymbols(std::move(found)));
  }
};

std::shared_ptr<const CodeModule> Jit::compile(const ModuleFiller &fill, Effort effort,
                                               std::string *dump) {
  std::lock_guard lock(mutex);
  llvm::LLVMContext context;
  llvm::Module module("graph", context);
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  fill(module);
  setTargetAttributes(module);
  if (dump) {
    llvm::raw_string_ostream stream(*dump);
    module.print(stream, nullptr);
  }
#ifndef NDEBUG
  std::string problem;
  llvm::raw_string_ostream stream(problem);
  if (llvm::verifyModule(module, &stream))
    throw CodegenError("codegen made wrong LLVM IR: " + problem);
#endif
  orc::SymbolLookupSet defined;
  for (const llvm::Function &function : module)
    if (!function.isDeclaration() && !function.hasLocalLinkage())
      defined.add(session->intern(function.getName()));
  std::unique_ptr<llvm::MemoryBuffer> object = objectFor(module, effort);
  size_t bytes = object->getBufferSize();
  orc::JITDylib &library = session->createBareJITDylib("graph" + std::to_string(modules++));
  library.addGenerator(std::make_unique<ExternalSymbols>());
  auto linked = std::make_shared<LinkedModule>(library, bytes);
  if (llvm::Error error = linker->add(library, std::move(object)))
    fail("native code cannot be linked", std::move(error));
  orc::SymbolMap addresses =
      valueOf("native code cannot be linked",
              session->lookup({{&library, orc::JITDylibLookupFlags::MatchAllSymbols}}, defined));
  for (const auto &[symbol, definition] : addresses)
    linked->addresses[*symbol] = definition.getAddress().toPtr<void *>();
  return linked;
}

void Jit::remove(orc::JITDylib &library) {
  // An error here means that pages could not be given back: nothing is lost but memory.
  llvm::consumeError(session->removeJITDylib(library));
}

} // namespace

unsigned hostVectorBytes() {
  static const unsigned bytes = [] {
    auto has = [](const char *feature) { return hostFeatures().lookup(feature); };
    if (has("avx512f") && has("avx512dq") && has("avx512bw") && has("avx512vl"))
      return 64u;
    return has("avx2") && has("fma") ? 32u : 16u;
  }();
  return bytes;
}

std::shared_ptr<const CodeModule> compileModule(const ModuleFiller &fill, Effort effort,
                                                std::string *dump) {
  return Jit::instance().compile(fill, effort, dump);
}

} // namespace bifront
