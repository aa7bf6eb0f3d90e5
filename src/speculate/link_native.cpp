#include "speculate/link_native.h"

#include "codegen/native_symbols.h"
#include "runtime/program.h"
#include "runtime/vector_functions.h"
#include "speculate/python_call.h"
#include "speculate/python_objects.h"

#include <ATen/Parallel.h>

#include <dlfcn.h>

namespace bifront {
namespace {

// The library that holds ATen's kernels, found by one of its functions: Python loads torch where
// lookups by name alone do not see it.
void addTorch() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void *>(&at::get_num_threads), &info) && info.dli_fname)
    if (void *handle = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD))
      registerLibrary(handle);
}

} // namespace

void linkNativeSymbols() {
  static const bool linked = [] {
    for (const RuntimeFunction &function : runtimeFunctions())
      registerSymbol(function.name, function.address);
    registerSymbol("bf_vector_function", reinterpret_cast<void *>(&bf_vector_function));
    addTorch();
    giveObjectReads();
    givePythonCalls();
    return true;
  }();
  (void)linked;
}

} // namespace bifront
