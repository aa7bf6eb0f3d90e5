#include "passes/autodiff.h"

#include "ir/aten_op.h"
#include "passes/autodiff_activity.h"
#include "passes/autodiff_cache.h"
#include "passes/autodiff_worlds.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

#include <stdexcept>
#include <unordered_map>

namespace bifront {
namespace {

// Derivatives in use during one run of the pass, each a parsed module.
class Derivatives {
public:
  explicit Derivatives(DerivativeSource &source) : source(source) {}
  const Derivative &of(mlir::MLIRContext &context, const DerivativeRequest &request) {
    std::string key = derivativeKey(request);
    auto found = known.find(key);
    if (found == known.end())
      found = known.emplace(std::move(key), source.derive(context, request)).first;
    return found->second;
  }

private:
  DerivativeSource &source;
  std::unordered_map<std::string, Derivative> known;
};

AtenArg operand(uint32_t index) { return {AtenArg::Operand{index}}; }
AtenArg none() { return {AtenArg::None{}}; }

// Whether `op` runs `call` on the block's first arguments in order, as the derivative's forward
// part does; writing them is then either said by neither or left unsaid there.
bool isCallOnArguments(bf::AtenOp op, bf::AtenOp call, mlir::Block &block) {
  bool sameForm = op.getWrittenOperands() == call.getWrittenOperands();
  bool writesItself =
      op.getWrittenOperands().empty() && op.getNumResults() == call.getNumOwnResults();
  if (op.getSchema() != call.getSchema() || op.getArgs() != call.getArgs() ||
      op.getInputs().size() != call.getInputs().size() || (!sameForm && !writesItself))
    return false;
  for (auto [index, input] : llvm::enumerate(op.getInputs()))
    if (input != block.getArgument(index))
      return false;
  return true;
}

// A derivative's function, taken apart.
struct DerivativeParts {
  mlir::Block &body;
  bf::AtenOp forward; // the op that runs the call itself; null where PyTorch runs something else
  mlir::ValueRange results;
  mlir::ValueRange gradients;
};

std::optional<DerivativeParts> takeApart(const Derivative &derivative,
                                         const DerivativeRequest &request, bf::AtenOp call) {
  auto functions = (*derivative.module).getOps<mlir::func::FuncOp>();
  if (functions.empty())
    return std::nullopt;
  mlir::Block &body = (*functions.begin()).getBody().front();
  mlir::ValueRange returned = body.getTerminator()->getOperands();
  unsigned own = request.seeded.size();
  if (returned.size() != own + derivative.gradientOf.size() ||
      body.getNumArguments() < call.getInputs().size())
    return std::nullopt;
  bf::AtenOp forward;
  for (bf::AtenOp op : body.getOps<bf::AtenOp>())
    if (isCallOnArguments(op, call, body)) {
      forward = op;
      break;
    }
  return DerivativeParts{body, forward, returned.take_front(own), returned.drop_front(own)};
}

// The reverse sweep of one `bf.grad` over one block. Control flow extends `differentiate` by a case
// for each op with regions or a callee: everything else here speaks of values only.
class ReverseSweep {
public:
  ReverseSweep(bf::GradOp grad, Derivatives &derivatives)
      : grad(grad), derivatives(derivatives), activity(grad.getWrt(), grad), builder(grad),
        recordsGraph(grad.getCreateGraph()) {}

  mlir::LogicalResult run() {
    mlir::Operation *op = grad->getPrevNode();
    seed();
    // Splicing replaces the op at hand and inserts others behind it, so step before working.
    while (op) {
      mlir::Operation *before = op->getPrevNode();
      if (activity.flowsThrough(*op) && reaches(*op) && mlir::failed(differentiate(*op)))
        return mlir::failure();
      op = before;
    }
    return finish();
  }

private:
  void seed() {
    for (auto [index, output] : llvm::enumerate(grad.getOutputs())) {
      if (!activity.isActive(output))
        continue;
      mlir::Value gradient =
          grad.getSeeds().empty() ? like("aten::ones_like", output) : grad.getSeeds()[index];
      accumulate(output, gradient, grad.getLoc());
    }
  }

  bool reaches(mlir::Operation &op) const {
    return llvm::any_of(op.getResults(),
                        [&](mlir::Value result) { return gradients.contains(result); });
  }

  mlir::LogicalResult differentiate(mlir::Operation &op) {
    if (auto call = llvm::dyn_cast<bf::AtenOp>(op))
      return differentiateCall(call);
    return op.emitError("no gradient flows through `")
           << op.getName() << "`: the autodiff pass does not know this op";
  }

  mlir::LogicalResult differentiateCall(bf::AtenOp op) {
    DerivativeRequest request = requestFor(op);
    const Derivative *derivative;
    try {
      derivative = &derivatives.of(*op.getContext(), request);
    } catch (const std::runtime_error &refused) {
      return op.emitError("`") << op.getSchema() << "` has no derivative: " << refused.what();
    }
    if (derivative->gradientOf.empty())
      return mlir::success();
    std::optional<DerivativeParts> parts = takeApart(*derivative, request, op);
    if (!parts)
      return op.emitError("the derivative of `")
             << op.getSchema() << "` does not have the form that was asked for";
    return splice(op, *parts, *derivative, request);
  }

  DerivativeRequest requestFor(bf::AtenOp op) {
    DerivativeRequest request;
    request.call = callOf(op);
    // Where no gradient comes through what the call writes (running statistics, say), its
    // derivative is that of the call as PyTorch knows it.
    mlir::ValueRange results = op.getResults();
    auto contents = results.drop_front(op.getNumOwnResults());
    if (llvm::none_of(contents, [&](mlir::Value value) { return gradients.contains(value); })) {
      request.call.written.clear();
      results = results.take_front(op.getNumOwnResults());
    }
    for (mlir::Value input : op.getInputs()) {
      ValueType type = valueTypeOf(input.getType());
      type.tensor.order = orderOf(input);
      request.operands.push_back(std::move(type));
      request.differentiable.push_back(activity.isActive(input));
      request.ints.push_back(input.getType().isInteger(64) ? worlds.of(input) : std::nullopt);
    }
    for (mlir::Value result : results)
      request.seeded.push_back(gradients.contains(result));
    return request;
  }

  mlir::LogicalResult splice(bf::AtenOp op, const DerivativeParts &parts,
                             const Derivative &derivative, const DerivativeRequest &request) {
    mlir::IRMapping map;
    llvm::SmallVector<mlir::Value> inputs(op.getInputs()); // outlives the op, which may be replaced
    for (auto [argument, input] : llvm::zip(parts.body.getArguments(), inputs))
      map.map(argument, input);
    unsigned next = inputs.size();
    for (auto [index, seeded] : llvm::enumerate(request.seeded))
      if (seeded) {
        if (next >= parts.body.getNumArguments())
          return op.emitError("the derivative of `")
                 << op.getSchema() << "` takes too few gradients";
        map.map(parts.body.getArgument(next++), gradients.lookup(op.getResult(index)));
      }

    mlir::Location location = op.getLoc();
    mlir::Block::iterator from = parts.body.begin();
    if (bf::AtenOp forward = parts.forward) {
      // What runs ahead of the call (reading sizes, say) is cloned; the call itself is there
      // already.
      for (; &*from != forward; ++from)
        cloneInto(builder, *from, map, location);
      for (auto [made, original] : llvm::zip(forward.getResults(), op.getResults()))
        map.map(made, original);
      if (forward.getWrittenOperands().empty())
        for (auto [index, written] : llvm::enumerate(op.getWrittenOperands()))
          map.map(parts.body.getArgument(written), op.getResult(op.getNumOwnResults() + index));
      ++from;
    } else {
      if (request.seeded.size() != op.getNumResults())
        return op.emitError("PyTorch differentiates `")
               << op.getSchema() << "` by another call, which does not write what this one writes";
      from = replaceForward(op, parts, map);
    }
    for (; &*from != parts.body.getTerminator(); ++from)
      cloneInto(builder, *from, map, location);

    for (auto [wanted, gradient] : llvm::zip(derivative.gradientOf, parts.gradients))
      if (request.differentiable[wanted])
        accumulate(inputs[wanted], map.lookupOrDefault(gradient), location);
    return mlir::success();
  }

  // Puts the derivative's own forward ops in the op's place. Returns where its backward ops start:
  // at the first op that depends on a gradient.
  mlir::Block::iterator replaceForward(bf::AtenOp op, const DerivativeParts &parts,
                                       mlir::IRMapping &map) {
    unsigned numInputs = op.getInputs().size();
    auto usesGradient = [&](mlir::Operation &made) {
      return llvm::any_of(made.getOperands(), [&](mlir::Value value) {
        auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
        return argument && argument.getArgNumber() >= numInputs;
      });
    };
    mlir::OpBuilder before(op);
    auto from = parts.body.begin();
    for (; &*from != parts.body.getTerminator() && !usesGradient(*from); ++from) {
      mlir::Operation *made = before.clone(*from, map);
      made->setLoc(op.getLoc());
      if (auto call = llvm::dyn_cast<bf::AtenOp>(made))
        call.setNoGrad(false);
    }
    for (auto [original, result] : llvm::zip(op.getResults(), parts.results)) {
      mlir::Value replacement = map.lookupOrDefault(result);
      if (mlir::Value gradient = gradients.lookup(original)) {
        gradients.erase(original);
        gradients[replacement] = gradient;
      }
      original.replaceAllUsesWith(replacement);
    }
    op.erase();
    return from;
  }

  void cloneInto(mlir::OpBuilder &into, mlir::Operation &op, mlir::IRMapping &map,
                 mlir::Location location) {
    mlir::Operation *made = into.clone(op, map);
    made->setLoc(location);
    if (auto call = llvm::dyn_cast<bf::AtenOp>(made))
      call.setNoGrad(!recordsGraph);
  }

  void accumulate(mlir::Value value, mlir::Value gradient, mlir::Location location) {
    mlir::Value &sum = gradients[value];
    sum = sum ? add(sum, gradient, location) : gradient;
  }

  mlir::Value add(mlir::Value a, mlir::Value b, mlir::Location location) {
    return createAten(builder, location, "aten::add.Tensor", {operand(0), operand(1), {int64_t{1}}},
                      mlir::ValueRange{a, b}, mlir::TypeRange{a.getType()}, {}, !recordsGraph)
        ->getResult(0);
  }

  mlir::Value like(llvm::StringRef schema, mlir::Value value) {
    AtenArg args[] = {operand(0), none(), none(), none(), none(), none()};
    return createAten(builder, grad.getLoc(), schema, args, mlir::ValueRange{value},
                      mlir::TypeRange{value.getType()}, {}, true)
        ->getResult(0);
  }

  // Gradients that would have to go on where the sweep does not.
  mlir::LogicalResult checkSources() {
    for (auto [value, gradient] : gradients) {
      bool ends = llvm::is_contained(grad.getWrt(), value) ||
                  (value.getDefiningOp() && value.getParentBlock() == grad->getBlock());
      if (!ends)
        return grad.emitError("a gradient flows out of the branch, the loop or the function that "
                              "it is taken in");
    }
    return mlir::success();
  }

  mlir::LogicalResult finish() {
    if (mlir::failed(checkSources()))
      return mlir::failure();
    llvm::SmallVector<mlir::Value> results;
    for (auto [wrt, result] : llvm::zip(grad.getWrt(), grad.getGradients())) {
      mlir::Value gradient = gradients.lookup(wrt);
      if (!gradient)
        gradient = like("aten::zeros_like", wrt);
      if (gradient.getType() != result.getType())
        return grad.emitError("a gradient is ")
               << gradient.getType() << " where " << result.getType() << " is expected";
      results.push_back(gradient);
    }
    grad->replaceAllUsesWith(results);
    grad.erase();
    return mlir::success();
  }

  bf::GradOp grad;
  Derivatives &derivatives;
  Activity activity;
  WorldInts worlds;
  mlir::OpBuilder builder;
  bool recordsGraph;
  llvm::DenseMap<mlir::Value, mlir::Value> gradients;
};

class AutodiffPass : public mlir::PassWrapper<AutodiffPass, mlir::OperationPass<mlir::ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(AutodiffPass)
  explicit AutodiffPass(DerivativeSource &source) : source(source) {}
  llvm::StringRef getArgument() const override { return "bf-autodiff"; }
  llvm::StringRef getDescription() const override { return "expand bf.grad"; }
  void runOnOperation() override {
    if (mlir::failed(expandGradients(getOperation(), source)))
      signalPassFailure();
  }

private:
  DerivativeSource &source;
};

} // namespace

mlir::LogicalResult expandGradients(mlir::ModuleOp module, DerivativeSource &source) {
  llvm::SmallVector<bf::GradOp> grads;
  module.walk([&](bf::GradOp grad) { grads.push_back(grad); });
  Derivatives derivatives(source);
  for (bf::GradOp grad : grads)
    if (mlir::failed(ReverseSweep(grad, derivatives).run()))
      return mlir::failure();
  return mlir::success();
}

std::unique_ptr<mlir::Pass> createAutodiffPass(DerivativeSource &source) {
  return std::make_unique<AutodiffPass>(source);
}

} // namespace bifront
