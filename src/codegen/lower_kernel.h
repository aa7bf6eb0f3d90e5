// A pointwise kernel as an LLVM function of KernelFn's signature.
//
//   for each of m rows:                     bodies run on a vector of elements; what does not
//   change
//     for i in steps of a vector: body      along a row is computed before it; the last elements
//     run if elements are left: body, masked    the same vector code under a mask, so that a value
//     does not
//                                           depend on where in a tensor it stands
//
// Tested by unittests/codegen/kernel_test.cpp.
#pragma once

#include "codegen/kernel_body.h"

#include <string>

namespace llvm {
class Function;
class Module;
} // namespace llvm

namespace bifront {

// `access` per operand, inputs then outputs. Inputs are all read before outputs are written,
// element by element, so that an output may lie exactly where an input does.
llvm::Function *lowerKernel(llvm::Module &module, const std::string &symbol, const KernelBody &body,
                            const std::vector<InnerAccess> &access, unsigned vectorBytes);

} // namespace bifront
