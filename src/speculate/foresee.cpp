#include "speculate/foresee.h"

#include "ir/bf_dialect.h"
#include "passes/autodiff.h"
#include "passes/functionalise.h"
#include "passes/simplify.h"
#include "reference/interpreter.h"
#include "runtime/below_autograd.h"
#include "speculate/link_native.h"
#include "speculate/opaque_run.h"
#include "speculate/random_state.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"

namespace bifront {
namespace {

// Leaves what the returned value needs, as values.
bool reduce(mlir::ModuleOp module, DerivativeSource &derivatives) {
  auto valuesOnly = [&] {
    if (failed(functionalise(module)))
      return false;
    llvm::SmallVector<mlir::Operation *> effects;
    module.walk([&](mlir::Operation *op) {
      // An assertion that does not hold says that the run would not get as far as the value.
      if (mlir::isa<bf::StoreOp, bf::StoreAttrOp, bf::DecideOp>(op))
        effects.push_back(op);
    });
    for (mlir::Operation *op : effects)
      op->erase();
    return true;
  };
  // As the pipeline does it, up to where calls become kernels.
  return valuesOnly() && succeeded(expandGradients(module, derivatives)) && valuesOnly() &&
         succeeded(simplify(module));
}

} // namespace

std::optional<c10::IValue> foresee(const GraphRecorder &recorder, const Capture &capture,
                                   DerivativeSource &derivatives, ValueId value) {
  CaptureMode::Pause pause;
  mlir::OwningOpRef<mlir::ModuleOp> module = recorder.upTo(value);
  bool isWhole = true; // a function that is still being recorded is not there
  module->walk([&](mlir::func::CallOp call) {
    isWhole = isWhole && module->lookupSymbol(call.getCallee());
  });
  if (!isWhole)
    return std::nullopt;
  mlir::ScopedDiagnosticHandler quiet(module->getContext(),
                                      [](mlir::Diagnostic &) { return mlir::success(); });
  if (!reduce(*module, derivatives))
    return std::nullopt;
  std::vector<c10::IValue> inputs;
  for (const CapturedInput &input : capture.inputs())
    inputs.push_back(input.now());
  linkNativeSymbols();
  RandomState random;
  OpaqueRun opaque;
  std::optional<c10::IValue> found;
  try {
    BelowAutograd belowAutograd;
    found = interpret(*module, inputs)[0];
  } catch (const std::exception &) {
    found.reset(); // an op that throws, or an assertion that does not hold
  }
  random.restore();
  opaque.restore();
  return found;
}

} // namespace bifront
