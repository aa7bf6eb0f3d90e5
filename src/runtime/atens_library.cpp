#include "runtime/atens_library.h"

#include <ATen/Parallel.h>

#include <dlfcn.h>

namespace bifront {

void *atensLibrary() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void *>(&at::get_num_threads), &info) || !info.dli_fname)
    return nullptr;
  return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
}

} // namespace bifront
