// What an integer of the graph is in the two worlds in which shapes were inferred.
#pragma once

#include "support/tensor_type.h"

#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"

#include <optional>

namespace bifront {

class WorldInts {
public:
  // Unknown for a number that comes from outside or from a tensor's contents.
  std::optional<Dim> of(mlir::Value value);

private:
  std::optional<Dim> compute(mlir::Value value);
  llvm::DenseMap<mlir::Value, std::optional<Dim>> known;
};

} // namespace bifront
