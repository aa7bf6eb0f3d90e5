#include "speculate/foresee.h"

#include "ir/aten_op.h"
#include "ir/bf_dialect.h"
#include "passes/autodiff.h"
#include "passes/drop_unread.h"
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

struct Contents {
  bool writes = false, differentiates = false;

  explicit Contents(mlir::ModuleOp module) {
    module->walk([&](mlir::Operation *op) {
      auto call = mlir::dyn_cast<bf::AtenOp>(op);
      writes |= call && !writtenOperands(call).empty();
      differentiates |= mlir::isa<bf::GradOp, bf::ReachedOp>(op);
    });
  }
};

// Leaves what the returned value needs, as values.
bool reduce(mlir::ModuleOp module, DerivativeSource &derivatives) {
  // An assertion that does not hold says that the run would not get as far as the value.
  auto dropStores = [&] { eraseOps<bf::StoreOp, bf::StoreAttrOp, bf::DecideOp>(module); };
  auto valuesOnly = [&] {
    bool isDone = succeeded(functionalise(module));
    dropStores();
    return isDone;
  };
  dropStores();
  dropUnread(module);
  Contents left(module);
  if (!left.differentiates)
    return !left.writes || valuesOnly();
  // As the pipeline does it, up to where calls become kernels.
  return valuesOnly() && succeeded(expandGradients(module, derivatives)) && valuesOnly() &&
         succeeded(simplify(module));
}

} // namespace

Foresight::Foresight(const GraphRecorder &recorder, const Capture &capture,
                     DerivativeSource &derivatives)
    : recorder_(recorder), capture_(capture), derivatives_(derivatives) {}

Foresight::~Foresight() = default;

std::optional<c10::IValue> Foresight::of(ValueId value) {
  constexpr size_t kPartsFirst = 2; // most captures ask no more
  CaptureMode::Pause pause;
  if (++asked_ > kPartsFirst && canRunAlong(value))
    if (auto found = alongside(value))
      return found;
  return byPart(value);
}

//===- One part ----------------------------------------------------------------------------===//

std::optional<c10::IValue> Foresight::byPart(ValueId value) {
  mlir::OwningOpRef<mlir::ModuleOp> module = recorder_.upTo(value);
  bool isWhole = true; // a function that is still being recorded is not there
  module->walk([&](mlir::func::CallOp call) {
    isWhole = isWhole && module->lookupSymbol(call.getCallee());
  });
  if (!isWhole)
    return std::nullopt;
  mlir::ScopedDiagnosticHandler quiet(module->getContext(),
                                      [](mlir::Diagnostic &) { return mlir::success(); });
  if (!reduce(*module, derivatives_))
    return std::nullopt;
  module->walk([&](mlir::Operation *) { ++cost_; });
  std::vector<c10::IValue> inputs;
  for (const CapturedInput &input : capture_.inputs())
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

//===- All of it, alongside ----------------------------------------------------------------===//

namespace {

// The program's own settings are in the ops already.
class PlainTorch {
  c10::InferenceMode notInferring{false};
  c10::impl::ExcludeDispatchKeyGuard plain{
      c10::autocast_dispatch_keyset | c10::python_ks | c10::functorch_transforms_ks |
      c10::DispatchKeySet({c10::DispatchKey::FuncTorchDynamicLayerFrontMode,
                           c10::DispatchKey::FuncTorchDynamicLayerBackMode,
                           c10::DispatchKey::PreDispatch, c10::DispatchKey::Functionalize})};
};

} // namespace

bool Foresight::isOfOpenBlock(ValueId value) const {
  return recorder_.recordedValue(value).getParentBlock() != &recorder_.recordedOps();
}

bool Foresight::canRunAlong(ValueId value) const {
  if (failed_ || !recorder_.isUsable(value))
    return false;
  return !isOfOpenBlock(value) ||
         llvm::all_of(recorder_.openBlocks(), [](const GraphRecorder::OpenBlock &block) {
           return RunAlong::computesOnly(*block.ops);
         });
}

c10::IValue Foresight::valueAlongside(ValueId value) {
  if (!isOfOpenBlock(value))
    return alongside_->valueOf(recorder_.recordedValue(value));
  std::vector<GraphRecorder::OpenBlock> open = recorder_.openBlocks();
  std::vector<RunAlong::OpenBlock> blocks;
  for (const GraphRecorder::OpenBlock &block : open) {
    blocks.push_back({block.ops, block.first});
    cost_ += block.ops->getOperations().size();
  }
  return alongside_->valueIn(blocks, recorder_.recordedValue(value));
}

void Foresight::addInputs() {
  for (size_t i = inputs_.size(); i < capture_.inputs().size(); ++i) {
    const CapturedInput &input = capture_.inputs()[i];
    if (!input.isTensor() || !input.tensor.defined()) {
      inputs_.push_back(input.now());
      continue;
    }
    at::Tensor copy = input.tensor.detach().clone();
    inputs_.emplace_back(copy.requires_grad_(input.tensor.requires_grad()));
  }
}

std::optional<c10::IValue> Foresight::alongside(ValueId value) {
  linkNativeSymbols();
  RandomState ofTheProgram;
  if (random_.defined())
    RandomState::set(random_);
  std::optional<c10::IValue> found;
  OpaqueRun opaque;
  bool hasAdvanced = false;
  try {
    PlainTorch plain;
    if (!alongside_)
      alongside_ = std::make_unique<RunAlong>();
    addInputs();
    size_t ops = recorder_.recordedOps().getOperations().size();
    cost_ += ops - std::exchange(ranAlong_, ops);
    alongside_->advance(recorder_.recordedOps(), inputs_);
    random_ = RandomState::now();
    hasAdvanced = true;
    found = valueAlongside(value);
    if (found->isTensor())
      found = found->toTensor().detach().clone();
  } catch (const std::exception &) { // what the question does not depend on may have failed
    if (!hasAdvanced) {
      failed_ = true;
      alongside_.reset();
    }
  }
  opaque.restore();
  if (opaque.written().any()) // which nothing that is run later would see
    failed_ = true;
  ofTheProgram.restore();
  return found;
}

} // namespace bifront
