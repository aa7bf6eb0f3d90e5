// Runs a graph op by op on ATen: slow, simple, and the oracle for passes and kernels.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <ATen/core/ivalue.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

namespace bifront {

// A bf.assert whose condition did not hold.
struct AssertionFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct InterpretOptions {
  // Run above autograd, so that bf.grad is computed by PyTorch's own. Graphs in which bf.grad
  // occurs always run so; the tensors to differentiate must require gradients.
  bool autograd = false;
  // Check that each value is what its type says.
  bool checkTypes = true;
  // What has run may be asked for, and blocks may change: else values go when they are spent.
  bool keepsValues = false;
  // A bf.grad of which the results have a history, as with create_graph.
  mlir::Operation *differentiable = nullptr;
  // What PyTorch's dispatcher includes and leaves out while gradients are taken; as around the run.
  std::optional<c10::impl::LocalDispatchKeySet> gradientKeys = {};
};

// Inputs and results are tensors and numbers; a `none` is an undefined tensor. Stores take place
// when the function returns, on the tensors that came in. The module's functions may call each
// other.
std::vector<c10::IValue> interpret(mlir::func::FuncOp function, std::span<const c10::IValue> inputs,
                                   const InterpretOptions &options = {});
// Its first function.
std::vector<c10::IValue> interpret(mlir::ModuleOp module, std::span<const c10::IValue> inputs,
                                   const InterpretOptions &options = {});

// Runs along with a function that is still being recorded: each op once, above autograd. Ops that
// write do so at once; what is stored, printed or decided is left out. Throws at opaque calls, and
// is of no use once it has thrown.
class RunAlong {
public:
  RunAlong();
  ~RunAlong();
  RunAlong(const RunAlong &) = delete;

  // Runs what the block has had added; `inputs` are its arguments, of which earlier ones are known.
  void advance(mlir::Block &block, std::span<const c10::IValue> inputs);
  // Of what has run.
  c10::IValue valueOf(mlir::Value value) const;
  // Of blocks that are being recorded behind that, each in the one before: they run anew each time,
  // from what their arguments first are, and must compute values only (computesOnly).
  struct OpenBlock {
    mlir::Block *ops;
    std::span<const mlir::Value> first;
  };
  c10::IValue valueIn(std::span<const OpenBlock> blocks, mlir::Value value) const;
  // Whether running the block a second time is as running it once.
  static bool computesOnly(mlir::Block &block);

private:
  class State;
  std::unique_ptr<State> state_;
};

} // namespace bifront
