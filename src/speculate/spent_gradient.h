// A grad_fn for tensors that leave a graph whose backward has already run inside it.
#pragma once

#include <ATen/core/Tensor.h>

namespace bifront {

// Makes `tensor` a non-leaf that requires grad; going backward through it raises what eager raises
// after the buffers of a graph were freed. `tensor` is fresh and nobody else's.
void markSpent(const at::Tensor &tensor);

} // namespace bifront
