// What a forward pass leaves for its backward pass: a stack of tensors and one of numbers.
#pragma once

#include "runtime/program.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <span>
#include <vector>

namespace bifront {

class Tape;

// The tapes of one run, and the most memory that lay on them at once.
class Tapes {
public:
  // Of this run and those before.
  uint64_t peakBytes() const { return peak; }
  // Their memory is there anyway, and is not counted. They stay where they are during the run.
  void leaveOut(std::span<const at::Tensor> inputs) { leftOut = inputs; }
  // The run is over: tapes that it gives out are counted no more.
  void forget();

private:
  friend class Tape;
  void measure();
  std::vector<Tape *> tapes;
  std::span<const at::Tensor> leftOut;
  uint64_t peak = 0, peakSum = 0; // `peakSum`: where memory that lies there twice counts twice
};

// Lies in a slot as a tensor does, so that it lives as one, also when a run ends early.
class Tape final : public c10::TensorImpl {
public:
  // Counted among `all`.
  static at::Tensor make(Tapes &all);
  // One that holds the same, for a backward pass after which there may be another.
  static at::Tensor copyOf(const at::Tensor &tape);
  static bool is(const c10::IValue &value);
  // The tape in a slot that codegen has given one.
  static Tape &in(const at::Tensor &slot);

  explicit Tape(Tapes *all);
  ~Tape() override;
  Tape(const Tape &) = delete;
  // Of one push, in order; a pop takes them the other way round.
  void push(const at::Tensor &tensor) {
    tensors.push_back(tensor);
    hasGrown = true;
  }
  void push(Scalar64 number) { numbers.push_back(number); }
  at::Tensor popTensor();
  Scalar64 popNumber();
  // All tensors, of pushes of as many as there are types: the rows of all that were pushed as the
  // n-th, for each n.
  std::vector<at::Tensor> popRows(std::span<const TensorType> types);
  std::span<at::Tensor> contents() { return tensors; }

private:
  friend class Tapes;
  // Between pushes and pops there is as much on it as ever.
  void noteTurn();

  Tapes *all;            // null behind the run
  bool hasGrown = false; // since the last pop
  std::vector<at::Tensor> tensors;
  std::vector<Scalar64> numbers;
};

// The tensors end to end; no rows of this type where there are none.
at::Tensor rowsOf(std::span<const at::Tensor> tensors, const TensorType &type);

} // namespace bifront
