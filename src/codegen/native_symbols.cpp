#include "codegen/native_symbols.h"

#include "llvm/ADT/StringMap.h"

#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <string>
#include <vector>

namespace bifront {
namespace {

// math.ipowi, with a defined result for every pair.
int64_t integerPower(int64_t base, int64_t exponent) {
  if (exponent < 0)
    return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
  uint64_t result = 1, factor = static_cast<uint64_t>(base);
  for (uint64_t rest = static_cast<uint64_t>(exponent); rest != 0; rest >>= 1) {
    if (rest & 1)
      result *= factor;
    factor *= factor;
  }
  return static_cast<int64_t>(result);
}

struct Symbols {
  std::mutex mutex;
  llvm::StringMap<void *> known;
  std::vector<void *> libraries;

  Symbols() {
    known["bf_ipow"] = reinterpret_cast<void *>(&integerPower);
    known["memset"] = reinterpret_cast<void *>(&std::memset);
    known["memcpy"] = reinterpret_cast<void *>(&std::memcpy);
    known["memmove"] = reinterpret_cast<void *>(&std::memmove);
    using Unary = double (*)(double);
    using UnaryF = float (*)(float);
    using Binary = double (*)(double, double);
    using BinaryF = float (*)(float, float);
#define BIFRONT_UNARY(name)                                                                        \
  known[#name] = reinterpret_cast<void *>(static_cast<Unary>(&::name));                            \
  known[#name "f"] = reinterpret_cast<void *>(static_cast<UnaryF>(&::name##f));
#define BIFRONT_BINARY(name)                                                                       \
  known[#name] = reinterpret_cast<void *>(static_cast<Binary>(&::name));                           \
  known[#name "f"] = reinterpret_cast<void *>(static_cast<BinaryF>(&::name##f));
    BIFRONT_UNARY(exp);
    BIFRONT_UNARY(exp2);
    BIFRONT_UNARY(expm1);
    BIFRONT_UNARY(log);
    BIFRONT_UNARY(log2);
    BIFRONT_UNARY(log10);
    BIFRONT_UNARY(log1p);
    BIFRONT_UNARY(sin);
    BIFRONT_UNARY(cos);
    BIFRONT_UNARY(tan);
    BIFRONT_UNARY(asin);
    BIFRONT_UNARY(acos);
    BIFRONT_UNARY(atan);
    BIFRONT_UNARY(sinh);
    BIFRONT_UNARY(cosh);
    BIFRONT_UNARY(tanh);
    BIFRONT_UNARY(asinh);
    BIFRONT_UNARY(acosh);
    BIFRONT_UNARY(atanh);
    BIFRONT_UNARY(cbrt);
    BIFRONT_UNARY(erf);
    BIFRONT_UNARY(erfc);
    BIFRONT_BINARY(atan2);
    BIFRONT_BINARY(pow);
    BIFRONT_BINARY(fmod);
    // What LLVM's intrinsics become on machines without an instruction for them.
    BIFRONT_UNARY(ceil);
    BIFRONT_UNARY(floor);
    BIFRONT_UNARY(trunc);
    BIFRONT_UNARY(round);
    BIFRONT_UNARY(roundeven);
#undef BIFRONT_UNARY
#undef BIFRONT_BINARY
    using Ternary = double (*)(double, double, double);
    using TernaryF = float (*)(float, float, float);
    known["fma"] = reinterpret_cast<void *>(static_cast<Ternary>(&::fma));
    known["fmaf"] = reinterpret_cast<void *>(static_cast<TernaryF>(&::fmaf));
  }
};

Symbols &symbols() {
  static auto *made = new Symbols(); // native code may run until the process ends
  return *made;
}

} // namespace

void registerSymbol(std::string_view name, void *address) {
  std::lock_guard lock(symbols().mutex);
  symbols().known[llvm::StringRef(name)] = address;
}

void registerLibrary(void *handle) {
  std::lock_guard lock(symbols().mutex);
  symbols().libraries.push_back(handle);
}

void *findSymbol(std::string_view name) {
  std::lock_guard lock(symbols().mutex);
  auto found = symbols().known.find(llvm::StringRef(name));
  if (found != symbols().known.end())
    return found->second;
  for (void *library : symbols().libraries)
    if (void *address = dlsym(library, std::string(name).c_str()))
      return symbols().known[llvm::StringRef(name)] = address;
  return nullptr;
}

} // namespace bifront
