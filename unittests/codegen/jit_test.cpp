#include "codegen/codegen_error.h"
#include "codegen/jit.h"
#include "codegen/native_symbols.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

using namespace bifront;

namespace {

// int name(): returns what `callee` returns, plus one.
void addCaller(llvm::Module &module, const char *name, const char *callee) {
  llvm::IRBuilder<> builder(module.getContext());
  auto *type = llvm::FunctionType::get(builder.getInt32Ty(), false);
  auto *function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module);
  builder.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "", function));
  llvm::Value *value = builder.CreateCall(module.getOrInsertFunction(callee, type));
  builder.CreateRet(builder.CreateAdd(value, builder.getInt32(1)));
}

int fortyOne() { return 41; }

// The permissions of the page that holds the address.
std::string permissionsOf(const void *address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    char flags[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, flags) == 3 &&
        begin <= reinterpret_cast<uintptr_t>(address) && reinterpret_cast<uintptr_t>(address) < end)
      return flags;
  }
  return "";
}

} // namespace

TEST(Jit, CallsRegisteredFunctions) {
  registerSymbol("test_forty_one", reinterpret_cast<void *>(&fortyOne));
  auto code = compileModule([](llvm::Module &m) { addCaller(m, "f", "test_forty_one"); });
  EXPECT_EQ(reinterpret_cast<int (*)()>(code->addressOf("f"))(), 42);
  EXPECT_THROW(code->addressOf("g"), CodegenError);
}

// int quadruple(int *p) { return *p + *p + *p + *p; }
static void addQuadruple(llvm::Module &module) {
  llvm::IRBuilder<> builder(module.getContext());
  auto *type = llvm::FunctionType::get(builder.getInt32Ty(), {builder.getPtrTy()}, false);
  auto *function =
      llvm::Function::Create(type, llvm::Function::ExternalLinkage, "quadruple", module);
  builder.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", function));
  llvm::Value *sum = builder.getInt32(0);
  for (int i = 0; i < 4; ++i)
    sum = builder.CreateAdd(sum, builder.CreateLoad(builder.getInt32Ty(), function->getArg(0)));
  builder.CreateRet(sum);
}

TEST(Jit, LittleEffortMakesOtherCodeThatDoesTheSame) {
  std::string dump;
  auto full = compileModule(addQuadruple);
  auto little = compileModule(addQuadruple, Effort::Little, &dump);
  int seven = 7;
  for (const auto &code : {full, little})
    EXPECT_EQ(reinterpret_cast<int (*)(int *)>(code->addressOf("quadruple"))(&seven), 28);
  EXPECT_NE(full->codeBytes(), little->codeBytes());
  EXPECT_NE(dump.find("@quadruple"), std::string::npos);
}

TEST(Jit, AMissingFunctionIsAnErrorAndNoMore) {
  EXPECT_THROW(compileModule([](llvm::Module &m) { addCaller(m, "f", "nobody_has_this"); }),
               CodegenError);
  registerSymbol("test_forty_one", reinterpret_cast<void *>(&fortyOne));
  EXPECT_NE(compileModule([](llvm::Module &m) { addCaller(m, "f", "test_forty_one"); }), nullptr);
}

TEST(Jit, ModulesMayUseTheSameNames) {
  registerSymbol("test_forty_one", reinterpret_cast<void *>(&fortyOne));
  auto fill = [](llvm::Module &m) { addCaller(m, "same", "test_forty_one"); };
  auto first = compileModule(fill), second = compileModule(fill);
  EXPECT_NE(first->addressOf("same"), second->addressOf("same"));
}

TEST(Jit, NoPageIsWritableAndExecutable) {
  registerSymbol("test_forty_one", reinterpret_cast<void *>(&fortyOne));
  auto code = compileModule([](llvm::Module &m) { addCaller(m, "f", "test_forty_one"); });
  EXPECT_EQ(permissionsOf(code->addressOf("f")), "r-xp");
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    EXPECT_EQ(line.find(" rwx"), std::string::npos) << line;
}

TEST(Jit, CodeIsUnmappedWithItsModule) {
  registerSymbol("test_forty_one", reinterpret_cast<void *>(&fortyOne));
  auto code = compileModule([](llvm::Module &m) { addCaller(m, "f", "test_forty_one"); });
  void *address = code->addressOf("f");
  code = nullptr;
  EXPECT_NE(permissionsOf(address), "r-xp");
}
