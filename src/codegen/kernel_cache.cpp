#include "codegen/kernel_cache.h"

#include "codegen/lower_kernel.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/xxhash.h"

#include <mutex>

namespace bifront {
namespace {

struct Entry {
  KernelFn fn;
  std::weak_ptr<const CodeModule> code;
};

struct Cache {
  std::mutex mutex;
  llvm::StringMap<Entry> kernels;
};

Cache &cache() {
  static auto *made = new Cache(); // programs may be destroyed at exit, in any order
  return *made;
}

} // namespace

std::string kernelSymbol(const std::string &key) {
  return "bf_kernel_" + llvm::utohexstr(llvm::xxh3_64bits(key), /*LowerCase=*/true);
}

CompiledKernel findKernel(const std::string &key) {
  std::lock_guard lock(cache().mutex);
  auto found = cache().kernels.find(key);
  if (found == cache().kernels.end())
    return {};
  if (std::shared_ptr<const CodeModule> code = found->second.code.lock())
    return {found->second.fn, std::move(code)};
  cache().kernels.erase(found);
  return {};
}

void addKernel(const std::string &key, const CompiledKernel &kernel) {
  std::lock_guard lock(cache().mutex);
  cache().kernels[key] = {kernel.fn, kernel.code};
}

CompiledKernel kernelFor(const KernelBody &body, const std::vector<InnerAccess> &access) {
  std::string key = kernelKey(body, access);
  CompiledKernel kernel = findKernel(key);
  if (kernel.fn)
    return kernel;
  std::string symbol = kernelSymbol(key);
  kernel.code = compileModule(
      [&](llvm::Module &module) { lowerKernel(module, symbol, body, access, hostVectorBytes()); });
  kernel.fn = reinterpret_cast<KernelFn>(kernel.code->addressOf(symbol));
  addKernel(key, kernel);
  return kernel;
}

} // namespace bifront
