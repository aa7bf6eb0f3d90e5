// What a value of the graph will be in this call: the part of the graph that computes it is run
// ahead, on the call's own tensors, so that a branch that depends on it can be taken as the program
// will take it. A capture that keeps asking has all that it records run along, each op once; what
// is in the blocks of loops and branches that are still being recorded is run at each question.
#pragma once

#include "capture/capture.h"
#include "ir/graph_recorder.h"
#include "passes/derivative_source.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <memory>
#include <optional>
#include <utility>
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
  // How many ops that has run since the last time that this was asked.
  size_t takeCost() { return std::exchange(cost_, 0); }

private:
  mlir::OwningOpRef<mlir::ModuleOp> partOf(ValueId value);
  std::optional<c10::IValue> run(mlir::ModuleOp part, bool sizesOnly);
  std::optional<c10::IValue> alongside(ValueId value);
  bool isOfOpenBlock(ValueId value) const;
  bool canRunAlong(ValueId value) const;
  c10::IValue valueAlongside(ValueId value);
  void addInputs();

  const GraphRecorder &recorder_;
  const Capture &capture_;
  DerivativeSource &derivatives_;
  size_t asked_ = 0, cost_ = 0;
  size_t ranAlong_ = 0; // ops
  std::unique_ptr<RunAlong> alongside_;
  bool failed_ = false;             // to run along
  std::vector<c10::IValue> inputs_; // copies, which may be written
  at::Tensor random_;               // the generator's state behind the last op that has run
};

} // namespace bifront
