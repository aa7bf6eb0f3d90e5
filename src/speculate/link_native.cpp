#include "speculate/link_native.h"

#include "codegen/native_symbols.h"
#include "runtime/atens_library.h"
#include "runtime/program.h"
#include "runtime/vector_functions.h"
#include "speculate/python_call.h"
#include "speculate/python_objects.h"

namespace bifront {

void linkNativeSymbols() {
  static const bool linked = [] {
    for (const RuntimeFunction &function : runtimeFunctions())
      registerSymbol(function.name, function.address);
    registerSymbol("bf_vector_function", reinterpret_cast<void *>(&bf_vector_function));
    if (void *library = atensLibrary())
      registerLibrary(library);
    giveObjectReads();
    givePythonCalls();
    return true;
  }();
  (void)linked;
}

} // namespace bifront
