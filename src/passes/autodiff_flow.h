// Which values a gradient goes through: those that depend differentiably on what it is taken with
// respect to, and that what is differentiated depends on; also in branches, in loops and in the
// functions that are called.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SetVector.h"

#include <map>
#include <vector>

namespace bifront {

// Whether a value of this type can have a gradient: a floating or complex tensor.
bool carriesGradient(mlir::Type type);
// Whether autograd takes what the op makes for the beginning of a history.
bool cutsHistory(mlir::Operation &op);

// A selection of a function's arguments or results.
using Selection = std::vector<bool>;

// What functions do to gradients. Answers hold as long as the functions stay as they are.
class FunctionFlows {
public:
  explicit FunctionFlows(mlir::ModuleOp module) : symbols(module) {}

  // Null for a declaration.
  mlir::func::FuncOp calleeOf(mlir::func::CallOp call) const;
  mlir::SymbolTable &symbolTable() { return symbols; }

  // The results that depend on the arguments.
  Selection dependent(mlir::func::FuncOp function, const Selection &arguments);
  // Those of the arguments that the gradients of the results come to.
  Selection reached(mlir::func::FuncOp function, const Selection &arguments,
                    const Selection &results);

private:
  // No results: asks for those that depend.
  struct Question {
    mlir::func::FuncOp function;
    Selection arguments, results;
    bool operator<(const Question &other) const {
      return std::tuple(function.getAsOpaquePointer(), arguments, results) <
             std::tuple(other.function.getAsOpaquePointer(), other.arguments, other.results);
    }
  };
  const Selection &ask(const Question &question);
  Selection answer(const Question &question);

  mlir::SymbolTable symbols;
  std::map<Question, Selection> answers; // from below, while one is being found
  bool isAnswering = false, learned = false;
};

class GradientFlow {
public:
  explicit GradientFlow(FunctionFlows &functions) : functions(functions) {}

  // These depend on what the gradient is taken with respect to.
  void depend(mlir::ValueRange values);
  // And so does what the ops make of them, in order; for all there is to know call it with all ops
  // that can matter, once.
  void spread(mlir::Block::iterator from, mlir::Block::iterator to);
  // A gradient comes to these of what depends, and from there to what the ops make them of.
  void reach(mlir::ValueRange values);
  void sweep(mlir::Block::iterator from, mlir::Block::iterator to);

  bool depends(mlir::Value value) const { return dependent.contains(value); }
  bool flowsThrough(mlir::Value value) const { return reached.contains(value); }
  // Whether a gradient that comes to the op's results goes on to its operands.
  bool isDifferentiable(mlir::Operation &op) const;
  // Values from outside of `op` that a gradient comes to from within its regions.
  llvm::SetVector<mlir::Value> reachedFromWithin(mlir::Operation *op) const;
  Selection dependentOperands(mlir::ValueRange operands) const;

private:
  using Visit = llvm::function_ref<void(mlir::Value)>;
  bool add(llvm::DenseSet<mlir::Value> &set, mlir::Value value);
  bool spreadTo(mlir::Value to, mlir::Value from);
  bool spread(mlir::Operation &op);
  bool spread(mlir::Block &block);
  bool sweep(mlir::Operation &op);
  bool sweep(mlir::Block &block);
  // The operands that gradients go to from the op's results, or from what its operands become.
  void receivers(mlir::Operation &op, Visit visit) const;

  FunctionFlows &functions;
  llvm::DenseSet<mlir::Value> dependent, reached;
};

// `end` and the branches around it, from the innermost out, up to a loop or a function: what is
// ahead of one of these in its block has run once when the run comes to `end`.
llvm::SmallVector<mlir::Operation *> waysTo(mlir::Operation *end);

// Of a gradient that is taken at `end`. Which values matter to it: the ops before it in its block
// do and, where that is one of a branch or a loop, those before that. What a loop or a function is
// handed may depend on anything.
GradientFlow flowTo(mlir::Operation *end, mlir::ValueRange wrt, mlir::ValueRange outputs,
                    FunctionFlows &functions);

} // namespace bifront
