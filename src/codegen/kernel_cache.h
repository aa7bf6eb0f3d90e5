// The kernels of the process: equal ones are compiled once, whichever graph they are of.
#pragma once

#include "codegen/jit.h"
#include "codegen/kernel_body.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bifront {

struct CompiledKernel {
  KernelFn fn = nullptr;
  std::shared_ptr<const CodeModule> code; // keeps it alive
};

// The same for the same kernel, in every process.
std::string kernelSymbol(const std::string &key);

// The kernel with this key (see kernelKey), if some graph that lives has it. Thread-safe.
CompiledKernel findKernel(const std::string &key);
void addKernel(const std::string &key, const CompiledKernel &kernel);

// The kernel for these inner accesses, compiled now where need be.
CompiledKernel kernelFor(const KernelBody &body, const std::vector<InnerAccess> &access);

} // namespace bifront
