// Which tensors of a recorded module share memory, and which are written where, by name: a value
// names a tensor, whatever its contents are.
#pragma once

#include "ir/bf_dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

#include <optional>

namespace bifront {

class TensorMemory {
public:
  using Tensors = llvm::SmallSetVector<mlir::Value, 4>;
  // Result `result` of `op` is a view of op's operand `parent` (as recorded).
  struct View {
    mlir::Value parent;
    bf::AtenOp op;
    unsigned result = 0;
  };

  explicit TensorMemory(mlir::ModuleOp module);

  const View *viewOf(mlir::Value tensor) const;
  // The tensor at the end of a chain of views.
  mlir::Value baseOf(mlir::Value tensor) const;
  // The bases that `base`, handed on by regions or returned by a function, may be. Another base is
  // only itself.
  Tensors originsOf(mlir::Value base) const;
  // A tensor of its own on every path.
  bool isOneTensor(mlir::Value base) const;

  // The tensors that the op writes itself.
  llvm::SmallVector<mlir::Value> writtenBy(mlir::Operation *op) const;
  // The bases from outside of `op` that ops in its regions write, in order.
  llvm::SmallVector<mlir::Value> writtenInside(mlir::Operation *op) const;
  // Numbers of the arguments that a function writes, itself or through what it calls.
  llvm::ArrayRef<unsigned> writtenArguments(mlir::func::FuncOp function) const;
  mlir::func::FuncOp calleeOf(mlir::func::CallOp call) const {
    return functions.lookup(call.getCalleeAttr().getAttr());
  }

private:
  void findViews(mlir::ModuleOp module);
  void findOrigins(mlir::ModuleOp module);
  void findWrittenArguments();
  bool grow(mlir::Value handedOn);
  Tensors originsOfCall(mlir::OpResult result) const;

  llvm::MapVector<mlir::StringAttr, mlir::func::FuncOp> functions;
  llvm::DenseMap<mlir::Value, View> views;
  llvm::DenseMap<mlir::Value, Tensors> origins; // of what is handed on or returned
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<unsigned>> written; // arguments, ascending
};

} // namespace bifront
