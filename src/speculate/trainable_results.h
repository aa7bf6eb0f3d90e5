// Tensors that a converted function leaves behind with a history: backward through them, outside of
// the function, runs a graph of its own.
#pragma once

#include "runtime/executor.h"
#include "speculate/gradients_again.h"
#include "speculate/random_state.h"

#include <ATen/core/ivalue.h>

#include <memory>
#include <span>
#include <vector>

namespace bifront {

struct TrainableResults {
  std::vector<uint32_t> returns; // of the forward program, those with a history
  uint32_t firstSaved = 0;       // its returns from here on are for the gradients
  std::vector<uint32_t> savedInputs;
  std::vector<uint32_t> trained; // inputs that get a gradient each
  // Which of the results those come from. One of none that are used is no gradient.
  std::vector<std::vector<uint32_t>> from;
  // Of each saved value and each result, as BackwardSplit has them, in the order of `returns`.
  std::vector<std::vector<uint32_t>> readers, meets;
  std::shared_ptr<Executor> gradients;
  std::unique_ptr<GradientsAgain> again;
};

// What a run is given, as it is before.
struct GivenToRun {
  GivenToRun(std::span<const c10::IValue> inputs, bool drawsRandomNumbers);
  // Whether the contents of an input are still those.
  bool isUnchanged(uint32_t input) const;

  std::vector<c10::IValue> inputs;
  std::vector<uint32_t> versions; // of the tensors among them
  RandomState random;
};

// Gives the results of one run their history.
void attachHistory(const std::shared_ptr<const TrainableResults> &trainable,
                   std::shared_ptr<const GivenToRun> given, std::span<const c10::IValue> outputs);

} // namespace bifront
