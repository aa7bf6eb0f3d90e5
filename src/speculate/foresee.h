// What a value of the graph will be in this call: the part of the graph that computes it is run
// ahead, on the call's own tensors, so that a branch that depends on it can be taken as the program
// will take it. A capture that keeps asking has all that it records run along, each op once.
#pragma once

#include "capture/capture.h"
#include "ir/graph_recorder.h"
#include "passes/derivative_source.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <memory>
#include <optional>
#include <vector>

namespace bifront {

class RunAlong;

class Foresight {
public:
  Foresight(const GraphRecorder &recorder, const Capture &capture, DerivativeSource &derivatives);
  ~Foresight();
  Foresight(const Foresight &) = delete;

  // Empty where nobody can tell. Writes nothing and draws no random number.
  std::optional<c10::IValue> of(ValueId value);

private:
  std::optional<c10::IValue> byPart(ValueId value) const;
  std::optional<c10::IValue> alongside(ValueId value);
  bool canRunAlong(ValueId value) const;
  void addInputs();

  const GraphRecorder &recorder_;
  const Capture &capture_;
  DerivativeSource &derivatives_;
  size_t asked_ = 0;
  std::unique_ptr<RunAlong> alongside_;
  bool failed_ = false;             // to run along
  std::vector<c10::IValue> inputs_; // copies, which may be written
  at::Tensor random_;               // the generator's state behind the last op that has run
};

} // namespace bifront
