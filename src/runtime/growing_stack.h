// What a list of tensors is in a graph: one tensor, with a row for each item. Operators of
// ours, so that capture, autodiff and the executor take them like any other.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymInt.h>

namespace bifront {

// The rows of `stack`, then `items` as further ones. `rows`: how many these are together, by which
// shapes are inferred: a list that a loop carries is of one type, whatever its length. The run
// checks it.
at::Tensor growStack(const at::Tensor &stack, at::TensorList items, const c10::SymInt &rows);

// The rows in memory of their own: that of a stack may be that of longer ones as well.
at::Tensor rowsOfStack(const at::Tensor &stack);

} // namespace bifront
