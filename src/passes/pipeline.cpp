#include "passes/pipeline.h"

#include "passes/autodiff.h"
#include "passes/functionalise.h"
#include "passes/fuse_pointwise.h"
#include "passes/lower_pointwise.h"
#include "passes/pass_scope.h"
#include "passes/separate_results.h"
#include "passes/simplify.h"

#include "ir/bf_dialect.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace bifront {

static bool takesGradients(ModuleOp module) {
  return module.walk([](bf::GradOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

PipelineResult runPipeline(ModuleOp module, const PipelineOptions &options,
                           DerivativeSource *derivatives) {
  PipelineResult result{.ok = true, .failedPass = {}, .reason = {}, .timings = {}};
  PassScope scope(module, options, result);
  auto functionaliseIt = [&] { return functionalise(module); };
  auto simplifyIt = [&] { return simplify(module); };

  // From what was recorded to values.
  if (!scope.run("functionalise", functionaliseIt) || !scope.run("simplify", simplifyIt))
    return result;

  // Derivatives are spliced in as PyTorch runs them, writes included.
  if (takesGradients(module)) {
    auto differentiate = [&]() -> LogicalResult {
      if (!derivatives)
        return module.emitError() << "gradients are taken and there is no source of derivatives";
      return expandGradients(module, *derivatives);
    };
    if (!scope.run("autodiff", differentiate) || !scope.run("functionalise", functionaliseIt) ||
        !scope.run("simplify", simplifyIt))
      return result;
  }

  // From calls to kernels.
  if (options.lowerPointwise) {
    if (!scope.runInfallible("lower-pointwise", [&] { lowerPointwise(module); }) ||
        !scope.run("simplify", simplifyIt))
      return result;
    if (options.fuse && (!scope.runInfallible("fuse-pointwise", [&] { fusePointwise(module); }) ||
                         !scope.run("simplify", simplifyIt)))
      return result;
  }

  // Last, for it undoes what CSE does.
  scope.runInfallible("separate-results", [&] { separateResults(module); });
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
  registerPass([] { return createFunctionalisePass(); });
  registerPass([] { return createSimplifyPass(); });
  registerPass([] { return createLowerPointwisePass(); });
  registerPass([] { return createFusePointwisePass(); });
  registerPass([] { return createSeparateResultsPass(); });
  registerPass([]() -> std::unique_ptr<Pass> { return std::make_unique<WholePipelinePass>(); });
}

} // namespace bifront
