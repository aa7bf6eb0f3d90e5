// What a value of the graph will be in this call: the part of the graph that computes it is run
// ahead, on the call's own tensors, so that a branch that depends on it can be taken as the program
// will take it.
#pragma once

#include "capture/capture.h"
#include "ir/graph_recorder.h"
#include "passes/derivative_source.h"

#include <ATen/core/ivalue.h>

#include <optional>

namespace bifront {

// Empty where that part cannot be run. Writes nothing and draws no random number.
std::optional<c10::IValue> foresee(const GraphRecorder &recorder, const Capture &capture,
                                   DerivativeSource &derivatives, ValueId value);

} // namespace bifront
