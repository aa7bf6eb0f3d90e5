// Where a function of the graph calls itself, only the run knows which tensors the history of its
// results leads to. What the program was seen to depend on there, the graph asserts.
#pragma once

#include "capture/capture.h"

#include <torch/csrc/autograd/variable.h>

#include <string>

namespace bifront {

// The history of one of `outputs` leads to each of `targets`.
void assertReached(Capture &capture, const torch::autograd::variable_list &outputs,
                   const torch::autograd::variable_list &targets);

// The program goes by that the tensor requires grad, or does not. Throws where that cannot be
// asserted; `why` says what for.
void requireSureHistory(Capture &capture, const at::Tensor &tensor, const std::string &why);

} // namespace bifront
