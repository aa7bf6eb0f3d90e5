// While functionalisation follows a function: which tensors may have been written under another
// name, that of a base which is, on some path, the same tensor.
#pragma once

#include "passes/tensor_memory.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

#include <optional>

namespace bifront {

class WriteTimes {
public:
  explicit WriteTimes(const TensorMemory &memory) : memory(memory) {}

  // The name gets its tensor here.
  void bind(mlir::Value tensor) { boundAt[tensor] = ++now; }
  void write(mlir::Value base, mlir::Location at);
  // What an iteration writes is written before the next one.
  void enterLoop(mlir::scf::WhileOp loop);

  bool mayShare(mlir::Value base, mlir::Value other) const;
  // A write to another base, since `base` was bound, that may be one to `base`.
  std::optional<mlir::Location> writtenElsewhere(mlir::Value base) const;

  struct Write {
    mlir::Value base;
    uint64_t time;
    mlir::Location at;
  };
  // By the bases that the written one may be; each written base once.
  using Writes = llvm::DenseMap<mlir::Value, llvm::SmallVector<Write, 1>>;
  // One branch does not see the writes of the other; what is behind sees those of both.
  const Writes &writes() const { return byOrigin; }
  void setWrites(Writes writes) { byOrigin = std::move(writes); }
  void addWrites(const Writes &more);

private:
  void note(mlir::Value origin, const Write &write);

  const TensorMemory &memory;
  llvm::DenseMap<mlir::Value, uint64_t> boundAt; // arguments of the function are not here: 0
  Writes byOrigin;
  uint64_t now = 0;
};

} // namespace bifront
