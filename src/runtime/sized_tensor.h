// A tensor that is known by other sizes from here on: those of the type that the two ways of a
// branch, or the iterations of a loop, have in common.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymInt.h>
#include <c10/core/SymIntArrayRef.h>

namespace bifront {

// The tensor itself. `sizes`: what it has; shapes are inferred by them, and the run checks them.
at::Tensor sizedTensor(const at::Tensor &tensor, c10::SymIntArrayRef sizes);

} // namespace bifront
