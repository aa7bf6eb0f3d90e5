// Machine code in this process: LLVM's code generator and ORC's linker, without the parts that a
// JIT of whole programs needs. Pages are written first and become executable then, never both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace bifront {

// Some linked code; it stays as long as this does.
class CodeModule {
public:
  virtual ~CodeModule() = default;
  // The address of a function that the module defines. Throws CodegenError where there is none.
  virtual void *addressOf(std::string_view symbol) const = 0;
  virtual size_t codeBytes() const = 0;
};

// Width of the host's vector registers that code should use.
unsigned hostVectorBytes();

// Fills a fresh module. Names only need to be unique within it.
using ModuleFiller = std::function<void(llvm::Module &)>;

// How much LLVM does for code: all it can for what runs over many elements; little for what mostly
// calls other code, and may be very long (a graph's entry), for LLVM's time grows faster than its
// length.
enum class Effort : uint8_t { Full, Little };

// Compiles and links. Calls to functions that the module does not define go where findSymbol says.
// Throws CodegenError. Thread-safe. `dump`: the LLVM IR as text is added to it, where wanted.
std::shared_ptr<const CodeModule>
compileModule(const ModuleFiller &fill, Effort effort = Effort::Full, std::string *dump = nullptr);

} // namespace bifront
