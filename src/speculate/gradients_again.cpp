#include "speculate/gradients_again.h"

#include "ir/bf_dialect.h"
#include "ir/object_ops.h"
#include "passes/drop_unread.h"
#include "passes/functionalise.h"
#include "reference/interpreter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Iterators.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <algorithm>
#include <stdexcept>

namespace bifront {
namespace {

using namespace mlir;

c10::DispatchKeySet functorchKeys() {
  using Key = c10::DispatchKey;
  return c10::DispatchKeySet({Key::FuncTorchDynamicLayerFrontMode,
                              Key::FuncTorchDynamicLayerBackMode, Key::FuncTorchVmapMode,
                              Key::VmapMode});
}

func::FuncOp mainOf(ModuleOp module) { return *module.getOps<func::FuncOp>().begin(); }

// Whose results are all that is returned behind the others, from seeds with respect to inputs; null
// where code of the program's own (of a hook) stands between.
bf::GradOp lastGradients(ModuleOp module, unsigned numResults) {
  Block &body = mainOf(module).front();
  auto cameIn = [&](Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getOwner() == &body;
  };
  OperandRange returned = body.getTerminator()->getOperands().drop_front(numResults);
  auto op = returned.empty() ? bf::GradOp() : returned.front().getDefiningOp<bf::GradOp>();
  bool isAll = op && llvm::all_of(op.getSeeds(), cameIn) && llvm::all_of(op.getWrt(), cameIn) &&
               llvm::all_of(returned, [&](Value value) { return value.getDefiningOp() == op; });
  return isAll ? op : bf::GradOp();
}

void returnGradientsAlone(ModuleOp module, unsigned numResults) {
  func::FuncOp main = mainOf(module);
  Operation *terminator = main.front().getTerminator();
  terminator->eraseOperands(0, numResults);
  main.setFunctionType(FunctionType::get(module.getContext(), main.getArgumentTypes(),
                                         terminator->getOperandTypes()));
  module.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
}

} // namespace

GradientsAgain::GradientsAgain(ModuleOp captured, unsigned numResults)
    : module_(captured.clone()), numResults_(numResults) {}

void GradientsAgain::prepare() const {
  ModuleOp module = *module_;
  if (!lastGradients(module, numResults_)) {
    whyNot_ = "its gradients are not autograd's alone";
    return;
  }
  ScopedDiagnosticHandler quiet(module.getContext(), [&](Diagnostic &diagnostic) {
    whyNot_ = diagnostic.str();
    return success();
  });
  if (failed(functionalise(module)))
    return;
  // Which were had, and held.
  eraseOps<bf::StoreOp, bf::StoreAttrOp, bf::PrintOp, bf::AssertOp>(module);
  returnGradientsAlone(module, numResults_);
  gradients_ = lastGradients(module, 0);
  module.walk([&](Operation *op) {
    if (isa<bf::PycallOp>(op) || objectReadOf(op))
      whyNot_ = "it reads Python's objects as it runs";
  });
  for (BlockArgument argument : mainOf(module).getArguments())
    if (!argument.use_empty())
      needed_.push_back(argument.getArgNumber());
}

const std::vector<uint32_t> &GradientsAgain::needed() const {
  std::call_once(isPrepared_, [&] { prepare(); });
  if (!whyNot_.empty())
    throw std::runtime_error(whyNot_);
  return needed_;
}

std::vector<at::Tensor> GradientsAgain::compute(std::span<const c10::IValue> inputs,
                                                bool withHistory) const {
  InterpretOptions options{.autograd = true,
                           .checkTypes = false,
                           .differentiable = withHistory ? gradients_ : nullptr,
                           .gradientKeys = c10::impl::tls_local_dispatch_key_set()};
  c10::impl::ExcludeDispatchKeyGuard asRecorded(c10::autocast_dispatch_keyset | functorchKeys());
  std::vector<at::Tensor> gradients;
  for (const c10::IValue &value : interpret(*module_, inputs, options))
    gradients.push_back(value.toTensor());
  return gradients;
}

} // namespace bifront
