#include "speculate/foresee.h"

#include "ir/arithmetic.h"
#include "ir/aten_op.h"
#include "ir/bf_dialect.h"
#include "ir/object_ops.h"
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
#include "llvm/ADT/SetVector.h"

#include <ATen/ops/empty_strided.h>

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

bool isEffect(mlir::Operation *op) {
  auto call = mlir::dyn_cast<bf::AtenOp>(op);
  return mlir::isa<bf::PycallOp>(op) || (call && opRow(call.getSchema()).kind == OpKind::Random);
}

// The ops of a block that its results, and others, are computed from.
class Needed {
public:
  explicit Needed(mlir::Block &body) : body(body) { add(body.getTerminator()); }

  // Draws of random numbers and opaque calls count on the ones before them.
  bool hasEffects() const { return effects; }
  bool contains(mlir::Operation *op) const { return ops.contains(op); }

  // An assumption about what is computed anyway: where it does not hold, a run does not get there.
  void addIfCheap(bf::AssertOp assumption) {
    llvm::SetVector<mlir::Operation *> more;
    if (isCheap(assumption.getCondition(), more)) {
      ops.insert(assumption);
      ops.insert(more.begin(), more.end());
    }
  }

private:
  void add(mlir::Operation *first) {
    ops.insert(first);
    for (size_t i = ops.size() - 1; i < ops.size(); ++i)
      ops[i]->walk([&](mlir::Operation *op) {
        effects = effects || isEffect(op) || mlir::isa<mlir::func::CallOp>(op);
        for (mlir::Value operand : op->getOperands())
          if (mlir::Operation *from = operand.getDefiningOp())
            if (mlir::Operation *here = body.findAncestorOpInBlock(*from))
              ops.insert(here);
      });
  }

  bool isCheap(mlir::Value value, llvm::SetVector<mlir::Operation *> &more) const {
    mlir::Operation *op = value.getDefiningOp();
    if (!op || ops.contains(op) || more.contains(op))
      return true;
    auto call = mlir::dyn_cast<bf::AtenOp>(op);
    bool isView = call && opRow(call.getSchema()).kind == OpKind::View;
    if (!isView && !isArithmetic(op))
      return false;
    for (mlir::Value operand : op->getOperands())
      if (!isCheap(operand, more))
        return false;
    more.insert(op);
    return true;
  }

  mlir::Block &body;
  llvm::SetVector<mlir::Operation *> ops;
  bool effects = false;
};

// Leaves nothing but what the returned value is computed from, if no effect is among that.
void dropEffects(mlir::func::FuncOp function) {
  mlir::Block &body = function.getBody().front();
  Needed needed(body);
  if (needed.hasEffects())
    return;
  for (auto assumption : body.getOps<bf::AssertOp>())
    needed.addIfCheap(assumption);
  for (mlir::Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (!needed.contains(&op))
      op.erase();
}

// Leaves what the returned value needs, as values.
bool reduce(mlir::ModuleOp module, DerivativeSource &derivatives) {
  auto dropStores = [&] { eraseOps<bf::StoreOp, bf::StoreAttrOp, bf::DecideOp>(module); };
  auto valuesOnly = [&] {
    bool isDone = succeeded(functionalise(module));
    dropStores();
    return isDone;
  };
  dropStores();
  dropUnread(module);
  if (Contents(module).writes && !valuesOnly())
    return false;
  dropEffects(*module.getOps<mlir::func::FuncOp>().begin());
  // As the pipeline does it, up to where calls become kernels.
  return !Contents(module).differentiates ||
         (valuesOnly() && succeeded(expandGradients(module, derivatives)) && valuesOnly() &&
          succeeded(simplify(module)));
}

at::Tensor shapeOf(const at::Tensor &tensor) {
  return at::empty_strided_symint(tensor.sym_sizes(), tensor.sym_strides(),
                                  tensor.options().device(c10::kMeta));
}

// What it takes to run a part.
struct Effort {
  bool isSmall = true;
  bool needsSizesOnly = true; // of tensors

  explicit Effort(mlir::ModuleOp module) {
    constexpr size_t kFewOps = 64;
    size_t computes = 0;
    module->walk([&](mlir::Operation *op) {
      if (auto call = mlir::dyn_cast<bf::AtenOp>(op)) {
        OpKind kind = opRow(call.getSchema()).kind;
        computes += kind != OpKind::View;
        isSmall = isSmall && kind != OpKind::Contraction;
        needsSizesOnly = needsSizesOnly && areTensors(call.getResultTypes());
      } else if (mlir::isa<bf::PycallOp>(op)) {
        isSmall = false;
        needsSizesOnly = needsSizesOnly && !hasTensors(op->getOperandTypes());
      } else if (op->getName().getDialectNamespace() == "scf") {
        isSmall = false;
      } else if (!isArithmetic(op) &&
                 !mlir::isa<mlir::ModuleOp, mlir::func::FuncOp, mlir::func::ReturnOp, bf::AssertOp,
                            bf::IsSameOp>(op)) {
        bool isRead = objectReadOf(op).has_value();
        isSmall = isSmall && isRead;
        needsSizesOnly = needsSizesOnly && isRead;
      }
    });
    isSmall = isSmall && computes <= kFewOps;
  }

private:
  static bool isTensor(mlir::Type type) { return mlir::isa<mlir::RankedTensorType>(type); }
  static bool areTensors(mlir::TypeRange types) { return llvm::all_of(types, isTensor); }
  static bool hasTensors(mlir::TypeRange types) { return llvm::any_of(types, isTensor); }
};

} // namespace

Foresight::Foresight(const GraphRecorder &recorder, const Capture &capture,
                     DerivativeSource &derivatives)
    : recorder_(recorder), capture_(capture), derivatives_(derivatives) {}

Foresight::~Foresight() = default;

std::optional<c10::IValue> Foresight::of(ValueId value) {
  constexpr size_t kPartsFirst = 2; // most captures ask no more
  CaptureMode::Pause pause;
  bool mayRunAlong = !recorder_.isArithmetic(value) && canRunAlong(value);
  if (alongside_ && mayRunAlong)
    if (auto found = alongside(value))
      return found;
  mlir::OwningOpRef<mlir::ModuleOp> part = partOf(value);
  if (!part)
    return std::nullopt;
  Effort effort(*part);
  if (effort.needsSizesOnly && !effort.isSmall &&
      !mlir::isa<mlir::RankedTensorType>(recorder_.recordedValue(value).getType()))
    if (auto found = run(*part, /*sizesOnly=*/true))
      return found;
  if (!effort.isSmall && ++asked_ > kPartsFirst && mayRunAlong && !alongside_)
    if (auto found = alongside(value))
      return found;
  return run(*part, /*sizesOnly=*/false);
}

//===- One part ----------------------------------------------------------------------------===//

mlir::OwningOpRef<mlir::ModuleOp> Foresight::partOf(ValueId value) {
  mlir::OwningOpRef<mlir::ModuleOp> module = recorder_.upTo(value);
  bool isWhole = true; // a function that is still being recorded is not there
  module->walk([&](mlir::func::CallOp call) {
    isWhole = isWhole && module->lookupSymbol(call.getCallee());
  });
  mlir::ScopedDiagnosticHandler quiet(module->getContext(),
                                      [](mlir::Diagnostic &) { return mlir::success(); });
  if (!isWhole || !reduce(*module, derivatives_))
    return {};
  module->walk([&](mlir::Operation *) { ++cost_; });
  return module;
}

// `sizesOnly`: without what is in the tensors.
std::optional<c10::IValue> Foresight::run(mlir::ModuleOp part, bool sizesOnly) {
  std::vector<c10::IValue> inputs;
  for (const CapturedInput &input : capture_.inputs()) {
    inputs.push_back(input.now());
    if (sizesOnly && inputs.back().isTensor() && inputs.back().toTensor().defined())
      inputs.back() = shapeOf(inputs.back().toTensor());
  }
  linkNativeSymbols();
  RandomState random;
  OpaqueRun opaque;
  std::optional<c10::IValue> found;
  try {
    BelowAutograd belowAutograd;
    found = interpret(part, inputs)[0];
  } catch (const std::exception &) {
    found.reset(); // an op that throws, or an assumption that does not hold
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
