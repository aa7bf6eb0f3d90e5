#include "capture/meta_kernels/meta_kernels.h"

namespace bifront {

MetaKernel metaKernel(std::string_view name) {
  static const MetaKernels kernels = [] {
    MetaKernels all;
    addMetaKernels0(all);
    addMetaKernels1(all);
    addMetaKernels2(all);
    addMetaKernels3(all);
    return all;
  }();
  auto found = kernels.find(std::string(name));
  return found == kernels.end() ? nullptr : found->second;
}

} // namespace bifront
