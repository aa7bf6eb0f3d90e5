// Which values depend differentiably on the values that a gradient is taken with respect to.
#pragma once

#include "mlir/IR/Operation.h"
#include "mlir/IR/ValueRange.h"
#include "llvm/ADT/DenseSet.h"

namespace bifront {

// Whether a value of this type can have a gradient: a floating or complex tensor.
bool carriesGradient(mlir::Type type);

class Activity {
public:
  // Walks the ops before `end` in its block and, where that is one of a branch or a loop, before
  // that. What a loop or a function is handed may depend on anything.
  Activity(mlir::ValueRange wrt, mlir::Operation *end);

  bool isActive(mlir::Value value) const { return active.contains(value); }
  // Whether a gradient that reaches the op's results flows on to its operands.
  bool flowsThrough(mlir::Operation &op) const;

private:
  void walk(mlir::Operation *end);

  llvm::DenseSet<mlir::Value> active;
};

} // namespace bifront
