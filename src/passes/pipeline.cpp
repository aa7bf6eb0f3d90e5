#include "passes/pipeline.h"

#include "passes/autodiff.h"
#include "passes/defer_products.h"
#include "passes/drop_unread.h"
#include "passes/functionalise.h"
#include "passes/fuse_pointwise.h"
#include "passes/hoist_products.h"
#include "passes/join_products.h"
#include "passes/lay_out_results.h"
#include "passes/lower_pointwise.h"
#include "passes/pass_scope.h"
#include "passes/prune_tapes.h"
#include "passes/reached.h"
#include "passes/separate_results.h"
#include "passes/simplify.h"
#include "passes/sum_parts.h"
#include "passes/sum_products.h"

#include "ir/bf_dialect.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace bifront {

static bool takesGradients(ModuleOp module) {
  return module.walk([](bf::GradOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

PipelineOptions pipelineOptions() {
  const Options &all = options();
  return {all.dumpBefore, all.dumpAfter, all.disablePasses, all.verify};
}

// Of a pass that cannot fail.
static auto always(ModuleOp module, void (*pass)(ModuleOp)) {
  return [module, pass]() -> LogicalResult {
    pass(module);
    return success();
  };
}

// From calls to kernels.
static void lowerToKernels(ModuleOp module, PassScope &scope) {
  auto simplifyIt = [&] { return simplify(module); };
  if (!scope.runOptional("defer-products", always(module, deferProducts)) ||
      !scope.runOptional("sum-products", always(module, sumProducts)) ||
      !scope.runOptional("join-products", always(module, joinProducts)) ||
      !scope.runOptional("sum-parts", always(module, sumParts)) ||
      !scope.runOptional("lower-pointwise", always(module, lowerPointwise)) ||
      !scope.runOptional("simplify", simplifyIt) ||
      !scope.runOptional("fuse-pointwise",
                         always(module, [](ModuleOp op) { fusePointwise(op); })) ||
      !scope.runOptional("simplify", simplifyIt))
    return;
  // Last, for it undoes what common subexpression elimination does.
  scope.run("separate-results", always(module, separateResults));
}

PipelineResult runPipeline(ModuleOp module, const PipelineOptions &options,
                           DerivativeSource *derivatives, BackwardSplit *split) {
  PipelineResult result{.ok = true, .failedPass = {}, .reason = {}, .timings = {}};
  PassScope scope(module, options, result);
  auto functionaliseIt = [&] { return functionalise(module); };
  auto simplifyIt = [&] { return simplify(module, /*combinesBranches=*/!split); };

  // From what was recorded to values.
  if (!scope.run("lay-out-results", always(module, layOutResults)) ||
      !scope.run("functionalise", functionaliseIt) ||
      !scope.runOptional("hoist-products", always(module, hoistProducts)))
    return result;

  // Ahead of simplification: two equal values, or a value and a view of it, differ in what a
  // gradient with respect to one of them is. Derivatives are spliced in as PyTorch runs them,
  // writes included.
  if (takesGradients(module)) {
    auto differentiate = [&]() -> LogicalResult {
      if (!derivatives)
        return module.emitError() << "gradients are taken and there is no source of derivatives";
      return expandGradients(module, *derivatives);
    };
    if (!scope.run("autodiff", differentiate) || !scope.run("functionalise", functionaliseIt))
      return result;
  }
  if (!scope.run("simplify", simplifyIt) || !scope.run("prune-tapes", always(module, pruneTapes)))
    return result;

  if (split && !scope.run("split-backward", [&] { return splitBackward(module, *split); }))
    return result;

  lowerToKernels(module, scope);
  if (split && result.ok) {
    PassScope scopeOfGradients(*split->backward, options, result);
    lowerToKernels(*split->backward, scopeOfGradients);
  }
  return result;
}

namespace {

class WholePipelinePass : public PassWrapper<WholePipelinePass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(WholePipelinePass)
  StringRef getArgument() const final { return "bf-pipeline"; }
  StringRef getDescription() const final { return "All passes up to code generation"; }
  void runOnOperation() final {
    PipelineResult result = bifront::runPipeline(getOperation(), {}, nullptr);
    if (!result.ok) {
      getOperation().emitError() << result.failedPass << ": " << result.reason;
      signalPassFailure();
    }
  }
};

} // namespace

void registerPasses() {
  registerPass([] { return createLayOutResultsPass(); });
  registerPass([] { return createDropUnreadPass(); });
  registerPass([] { return createFunctionalisePass(); });
  registerPass([] { return createSimplifyPass(); });
  registerPass([] { return createLowerPointwisePass(); });
  registerPass([] { return createFusePointwisePass(); });
  registerPass([] { return createSeparateResultsPass(); });
  registerPass([] { return createPruneTapesPass(); });
  registerPass([] { return createHoistProductsPass(); });
  registerPass([] { return createDeferProductsPass(); });
  registerPass([] { return createSumProductsPass(); });
  registerPass([] { return createJoinProductsPass(); });
  registerPass([] { return createSumPartsPass(); });
  registerPass([] { return createExpandReachedPass(); });
  registerPass([]() -> std::unique_ptr<Pass> { return std::make_unique<WholePipelinePass>(); });
}

} // namespace bifront
