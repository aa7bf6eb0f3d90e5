// A loop that goes as Python knows becomes as many ops as it has iterations, until these are so
// many that converting them takes seconds: then it is to be a loop of the graph.
#pragma once

#include "frontend/interpreter.h"

#include "capture/recording.h"
#include "ir/graph_recorder.h"

namespace bifront {

class Interpreter::Unrolling {
public:
  // `site`: null for a loop that can be none of the graph.
  Unrolling(const Interpreter &interpreter, const void *site)
      : interpreter_(interpreter), site_(site), start_(numValues()) {}

  // Ahead of each iteration.
  void goesOn() {
    constexpr int kFew = 16;
    constexpr ValueId kMany = 2048;
    if (!site_ || ++iterations_ <= kFew || numValues() - start_ <= kMany)
      return;
    const InterpreterHost &host = interpreter_.host_;
    bool isNew = !host.policies || interpreter_.policyOf(site_) == Policy::Whole;
    if (!host.unrollsAll && isNew)
      throw LongLoop(site_);
  }

private:
  ValueId numValues() const { return interpreter_.host_.recording->graph().numValues(); }

  const Interpreter &interpreter_;
  const void *site_;
  const ValueId start_;
  int iterations_ = 0;
};

} // namespace bifront
