// Gradients of a converted function's results that no compiled graph gives, such as those that are
// differentiated again: the graph runs op by op above autograd, from the tensors that it was given.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <ATen/core/ivalue.h>

#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace bifront {

class GradientsAgain {
public:
  // Of a graph as it was captured: its last inputs are seeds, and its returns behind the results
  // are gradients.
  GradientsAgain(mlir::ModuleOp captured, unsigned numResults);

  // Which inputs of the graph the gradients are computed of. Throws std::runtime_error where
  // autograd does not have all of the way from these to the gradients.
  const std::vector<uint32_t> &needed() const;
  // `withHistory`: from inputs and seeds that have one. What was drawn is drawn from the default
  // generator again. The modes of this thread (autocast, vmap) hold for the gradients, while the
  // forward is as it was recorded. Throws std::runtime_error.
  std::vector<at::Tensor> compute(std::span<const c10::IValue> inputs, bool withHistory) const;

private:
  void prepare() const;

  mutable mlir::OwningOpRef<mlir::ModuleOp> module_;
  unsigned numResults_;
  mutable std::once_flag isPrepared_;
  mutable std::string whyNot_;
  mutable mlir::Operation *gradients_ = nullptr;
  mutable std::vector<uint32_t> needed_;
};

} // namespace bifront
