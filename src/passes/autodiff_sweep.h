// The reverse sweep of one `bf.grad`, over one block and, through branches, loops and functions,
// over those inside. Internal to the autodiff pass.
//
// Each forward block has a backward block. What the backward block of a region or a function reads
// of its forward block's values goes over a tape: one push at the end of the forward block, one pop
// at the beginning of the backward block. Values of enclosing blocks are asked of the sweep there,
// and those of the block that `bf.grad` stands in are simply read.
#pragma once

#include "ir/bf_dialect.h"
#include "passes/autodiff_flow.h"
#include "passes/autodiff_worlds.h"
#include "passes/derivative_source.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"

#include <deque>
#include <string>
#include <unordered_map>

namespace bifront {

// Derivatives in use during one run of the pass, each a parsed module.
class Derivatives {
public:
  explicit Derivatives(DerivativeSource &source) : source(source) {}
  const Derivative &of(mlir::MLIRContext &context, const DerivativeRequest &request);
  // A number for a place where values go over a tape.
  int64_t nextSite() { return sites++; }

private:
  DerivativeSource &source;
  int64_t sites = 0;
  std::unordered_map<std::string, Derivative> known;
};

// A function that leaves a tape, and the one that consumes it:
//   forward(arguments..., tape) -> results
//   backward(tape, gradients of the seeded results..., sums...)
//       -> gradients of the wanted arguments..., whether those of the optional ones are there...
// `sums` are gradients of arguments so far, to which the backward function adds.
struct FunctionPair {
  mlir::func::FuncOp forward, backward;
  Selection dependent, seeded, summed, wanted, optional; // of the callee's arguments and results
};

// What all sweeps of one `bf.grad` share.
class Expansion {
public:
  Expansion(bf::GradOp grad, Derivatives &derivatives);
  ~Expansion();
  Expansion(const Expansion &) = delete;

  // The pair for a call, declared; its bodies are made by `makeFunctions`.
  FunctionPair &pairFor(mlir::func::FuncOp callee, const Selection &dependent,
                        const Selection &seeded, const Selection &summed,
                        const Selection &optional);
  mlir::LogicalResult makeFunctions();
  // The op is out of the graph, but no other may take its place in memory: values are keys.
  void retire(mlir::Operation *op);

  Derivatives &derivatives;
  FunctionFlows flows;
  WorldInts worlds;
  bool recordsGraph;

private:
  mlir::LogicalResult makeBodies(FunctionPair &pair);

  using Key = std::tuple<mlir::Operation *, Selection, Selection, Selection, Selection>;
  std::map<Key, FunctionPair> pairs;
  std::deque<FunctionPair *> declared;
  llvm::SmallVector<mlir::Operation *> retired;
};

// One tape, as forward and as backward ops name it.
struct Tape {
  mlir::Value forward, backward;
};

// Whether a run of eager has a gradient where the sweep has one: not for what only the way of a
// branch uses that is not taken. Its derivatives would be zero times what may be infinite.
struct Presence {
  mlir::Value isThere = {}; // null: always
  bool elseZero = true;     // where it is not there; what comes of a derivative may be anything
};

// A derivative's function, taken apart.
struct DerivativeParts;

class ReverseSweep {
public:
  // Of the block that `grad` stands in.
  ReverseSweep(Expansion &shared, const GradientFlow &flow, bf::GradOp grad);
  // Of a region's or a function's block; `outer` is null for a function's.
  ReverseSweep(Expansion &shared, const GradientFlow &flow, mlir::Block &forward,
               mlir::Block &backward, ReverseSweep *outer, Tape tape);

  // Goes up to the first op of the block.
  mlir::LogicalResult run(mlir::Operation *last);
  // Once the backward block is complete: what it reads goes over the tape.
  void tapeValues();

  // A gradient comes to the value.
  void accumulate(mlir::Value value, mlir::Value gradient, mlir::Location location,
                  Presence presence = {});
  // Null where none came.
  mlir::Value gradientOf(mlir::Value value) const { return gradients.lookup(value); }
  mlir::Value gradientOrZero(mlir::Value value);
  void setGradient(mlir::Value value, mlir::Value gradient, Presence presence = {});
  Presence presenceOf(mlir::Value value) const { return presences.lookup(value); }
  // Somebody asks whether the gradient of this argument is there.
  void track(mlir::BlockArgument argument) { tracked.insert(argument); }
  // Whether it is there, as a value of the block that `at` builds.
  mlir::Value isThere(mlir::Value value, mlir::OpBuilder &at);
  const llvm::DenseMap<mlir::Value, mlir::Value> &allGradients() const { return gradients; }
  mlir::Value like(llvm::StringRef schema, mlir::Value value);

private:
  mlir::LogicalResult differentiate(mlir::Operation &op);
  mlir::LogicalResult differentiateCall(bf::AtenOp op);
  mlir::LogicalResult differentiateRegions(mlir::Operation &op);
  mlir::LogicalResult differentiateIf(mlir::scf::IfOp op, Tape through);
  mlir::LogicalResult differentiateWhile(mlir::scf::WhileOp op, Tape through);
  mlir::LogicalResult differentiateFunction(mlir::func::CallOp op, Tape through);
  // `optional`: the carried values of which it goes with them whether their gradients are there.
  mlir::LogicalResult differentiateIteration(mlir::scf::WhileOp op, mlir::Block &backward,
                                             llvm::ArrayRef<unsigned> optional, Tape through);
  DerivativeRequest requestFor(bf::AtenOp op);
  mlir::LogicalResult splice(bf::AtenOp op, const DerivativeParts &parts,
                             const Derivative &derivative, const DerivativeRequest &request);
  mlir::Block::iterator replaceForward(bf::AtenOp op, const DerivativeParts &parts,
                                       llvm::DenseMap<mlir::Value, mlir::Value> &forwardOf);

  // A forward value where the backward ops are.
  mlir::Value valueOf(mlir::Value value);
  mlir::Value sizeOf(mlir::Value tensor, int64_t dim);
  mlir::Value zeros(mlir::Value like);
  // The gradient, or zeros where it is not there.
  mlir::Value settled(mlir::Value gradient, Presence presence);
  // Whether derivatives of other values come of its gradient.
  bool goesOn(mlir::Value value) const {
    return value.getDefiningOp() || tracked.contains(value) || (outer && outer->goesOn(value));
  }
  Presence presenceOfAll(mlir::ValueRange values);
  mlir::Value add(mlir::Value a, mlir::Value b, mlir::Location location);
  void renameValue(mlir::Value from, mlir::Value to);

  Expansion &shared;
  const GradientFlow &flow;
  mlir::Block *forward = nullptr; // null: that of bf.grad
  mlir::Block *backward = nullptr;
  ReverseSweep *outer = nullptr;
  Tape tape;
  mlir::OpBuilder builder; // of backward ops
  llvm::DenseMap<mlir::Value, mlir::Value> gradients;
  llvm::DenseMap<mlir::Value, Presence> presences; // of those that are not always there
  llvm::DenseSet<mlir::Value> tracked;
  // Values of `forward` that the backward block reads, and what stands for them there.
  llvm::MapVector<mlir::Value, mlir::Operation *> read;
  llvm::DenseMap<std::pair<mlir::Value, int64_t>, mlir::Value> sizes; // of tensors of `forward`
};

} // namespace bifront
