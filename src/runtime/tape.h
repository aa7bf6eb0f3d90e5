// What a forward pass leaves for its backward pass: a stack of tensors and one of numbers.
#pragma once

#include "runtime/program.h"

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

namespace bifront {

// Lies in a slot as a tensor does, so that it lives as one, also when a run ends early.
class Tape final : public c10::TensorImpl {
public:
  static at::Tensor make();
  // The tape in a slot that codegen has given one.
  static Tape &in(const at::Tensor &slot);

  explicit Tape();
  // Of one push, in order; a pop takes them the other way round.
  void push(const at::Tensor &tensor) { tensors.push_back(tensor); }
  void push(Scalar64 number) { numbers.push_back(number); }
  at::Tensor popTensor();
  Scalar64 popNumber();
  // All tensors, of pushes of as many as there are types: the rows of all that were pushed as the
  // n-th, for each n.
  std::vector<at::Tensor> popRows(std::span<const TensorType> types);

private:
  std::vector<at::Tensor> tensors;
  std::vector<Scalar64> numbers;
};

// The tensors end to end; no rows of this type where there are none.
at::Tensor rowsOf(std::span<const at::Tensor> tensors, const TensorType &type);

} // namespace bifront
