#include "passes/autodiff_sweep.h"

#include "ir/aten_op.h"
#include "passes/autodiff_cache.h"
#include "passes/prune_tapes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <stdexcept>

using namespace mlir;

namespace bifront {

const Derivative &Derivatives::of(MLIRContext &context, const DerivativeRequest &request) {
  std::string key = derivativeKey(request);
  auto found = known.find(key);
  if (found == known.end())
    found = known.emplace(std::move(key), source.derive(context, request)).first;
  return found->second;
}

//===- Derivatives of calls ----------------------------------------------------------------===//

struct DerivativeParts {
  Block &body;
  bf::AtenOp forward; // the op that runs the call itself; null where PyTorch runs something else
  ValueRange results;
  ValueRange gradients;
};

namespace {

AtenArg operand(uint32_t index) { return {AtenArg::Operand{index}}; }
AtenArg none() { return {AtenArg::None{}}; }

// Whether `op` runs `call` on the block's first arguments in order, as the derivative's forward
// part does; writing them is then either said by neither or left unsaid there.
bool isCallOnArguments(bf::AtenOp op, bf::AtenOp call, Block &block) {
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

std::optional<DerivativeParts> takeApart(const Derivative &derivative,
                                         const DerivativeRequest &request, bf::AtenOp call) {
  auto functions = (*derivative.module).getOps<func::FuncOp>();
  if (functions.empty())
    return std::nullopt;
  Block &body = (*functions.begin()).getBody().front();
  ValueRange returned = body.getTerminator()->getOperands();
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

// The ops of a derivative that its gradients, or effects, need.
class NeededOps {
public:
  NeededOps(const DerivativeParts &parts, Block::iterator from) {
    for (Value gradient : parts.gradients)
      need(gradient);
    for (Operation &op : llvm::reverse(llvm::make_range(from, parts.body.end()))) {
      bool isNeeded = !isMemoryEffectFree(&op) ||
                      llvm::any_of(op.getResults(), [&](Value value) { return has(value); });
      if (!isNeeded || op.hasTrait<OpTrait::IsTerminator>())
        continue;
      ops.insert(&op);
      llvm::for_each(op.getOperands(), [&](Value value) { need(value); });
    }
  }
  bool contains(Operation *op) const { return ops.contains(op); }

private:
  void need(Value value) { values.insert(value); }
  bool has(Value value) const { return values.contains(value); }
  llvm::DenseSet<Value> values;
  llvm::DenseSet<Operation *> ops;
};

} // namespace

LogicalResult ReverseSweep::differentiateCall(bf::AtenOp op) {
  DerivativeRequest request = requestFor(op);
  const Derivative *derivative;
  try {
    derivative = &shared.derivatives.of(*op.getContext(), request);
  } catch (const std::runtime_error &refused) {
    return op.emitError("`") << op.getSchema() << "` has no derivative: " << refused.what();
  }
  if (derivative->gradientOf.empty())
    return success();
  std::optional<DerivativeParts> parts = takeApart(*derivative, request, op);
  if (!parts)
    return op.emitError("the derivative of `")
           << op.getSchema() << "` does not have the form that was asked for";
  return splice(op, *parts, *derivative, request);
}

DerivativeRequest ReverseSweep::requestFor(bf::AtenOp op) {
  DerivativeRequest request;
  request.call = callOf(op);
  // Where no gradient comes through what the call writes (running statistics, say), its
  // derivative is that of the call as PyTorch knows it.
  ValueRange results = op.getResults();
  auto contents = results.drop_front(op.getNumOwnResults());
  if (llvm::none_of(contents, [&](Value value) { return gradients.contains(value); })) {
    request.call.written.clear();
    results = results.take_front(op.getNumOwnResults());
  }
  for (Value input : op.getInputs()) {
    ValueType type = valueTypeOf(input.getType());
    type.tensor.order = orderOf(input);
    request.operands.push_back(std::move(type));
    request.differentiable.push_back(flow.depends(input));
    request.ints.push_back(input.getType().isInteger(64) ? shared.worlds.of(input) : std::nullopt);
  }
  for (Value result : results) {
    request.seeded.push_back(gradients.contains(result));
    request.results.push_back(valueTypeOf(result.getType()));
    request.results.back().tensor.order = orderOf(result);
  }
  return request;
}

LogicalResult ReverseSweep::splice(bf::AtenOp op, const DerivativeParts &parts,
                                   const Derivative &derivative, const DerivativeRequest &request) {
  SmallVector<Value> inputs(op.getInputs()); // outlives the op, which may be replaced
  Location location = op.getLoc();
  DenseMap<Value, Value> forwardOf; // of the derivative's values: what the forward pass calls them
  IRMapping map;                    // and the backward pass
  for (auto [argument, input] : llvm::zip(parts.body.getArguments(), inputs))
    forwardOf[argument] = input;
  unsigned next = inputs.size();
  Presence presence = presenceOfAll(op.getResults());
  bool isOnly = llvm::count(request.seeded, true) == 1;
  for (auto [index, seeded] : llvm::enumerate(request.seeded))
    if (seeded) {
      if (next >= parts.body.getNumArguments())
        return op.emitError("the derivative of `") << op.getSchema() << "` takes too few gradients";
      Value gradient = gradients.lookup(op.getResult(index));
      if (!isOnly)
        gradient = settled(gradient, presenceOf(op.getResult(index)));
      map.map(parts.body.getArgument(next++), gradient);
    }

  auto backwardOf = [&](Value value) {
    if (Value known = map.lookupOrNull(value))
      return known;
    auto made = forwardOf.find(value);
    if (made == forwardOf.end())
      return value;
    Value read = valueOf(made->second);
    map.map(value, read);
    return read;
  };
  NeededOps needed(parts, parts.body.begin());
  auto clone = [&](Operation &made) {
    if (!needed.contains(&made))
      return;
    if (auto dim = dyn_cast<bf::DimOp>(made))
      if (auto of = forwardOf.find(dim.getTensor());
          of != forwardOf.end() && !map.contains(dim.getTensor()))
        return map.map(dim.getSize(), sizeOf(of->second, dim.getIndex()));
    llvm::for_each(made.getOperands(), backwardOf);
    Operation *copy = builder.clone(made, map);
    copy->setLoc(location);
    if (auto call = dyn_cast<bf::AtenOp>(copy))
      call.setNoGrad(!shared.recordsGraph);
  };

  Block::iterator from = parts.body.begin();
  if (bf::AtenOp forwardCall = parts.forward) {
    // What runs ahead of the call (reading sizes, say) is cloned; the call itself is there already.
    for (; &*from != forwardCall; ++from)
      clone(*from);
    for (auto [made, original] : llvm::zip(forwardCall.getResults(), op.getResults()))
      forwardOf[made] = original;
    if (forwardCall.getWrittenOperands().empty())
      for (auto [index, written] : llvm::enumerate(op.getWrittenOperands())) {
        map.erase(parts.body.getArgument(written));
        forwardOf[parts.body.getArgument(written)] = op.getResult(op.getNumOwnResults() + index);
      }
    ++from;
  } else {
    if (request.seeded.size() != op.getNumResults())
      return op.emitError("PyTorch differentiates `")
             << op.getSchema() << "` by another call, which does not write what this one writes";
    from = replaceForward(op, parts, forwardOf);
  }
  for (; &*from != parts.body.getTerminator(); ++from)
    clone(*from);

  for (auto [wanted, gradient] : llvm::zip(derivative.gradientOf, parts.gradients))
    if (request.differentiable[wanted])
      accumulate(inputs[wanted], backwardOf(gradient), location, presence);
  return success();
}

// Puts the derivative's own forward ops in the op's place. Returns where its backward ops start:
// at the first op that depends on a gradient.
Block::iterator ReverseSweep::replaceForward(bf::AtenOp op, const DerivativeParts &parts,
                                             DenseMap<Value, Value> &forwardOf) {
  unsigned numInputs = op.getInputs().size();
  auto usesGradient = [&](Operation &made) {
    return llvm::any_of(made.getOperands(), [&](Value value) {
      auto argument = dyn_cast<BlockArgument>(value);
      return argument && argument.getArgNumber() >= numInputs;
    });
  };
  IRMapping map;
  for (auto [made, forwardValue] : forwardOf)
    map.map(made, forwardValue);
  OpBuilder before(op);
  auto from = parts.body.begin();
  for (; &*from != parts.body.getTerminator() && !usesGradient(*from); ++from) {
    Operation *made = before.clone(*from, map);
    made->setLoc(op.getLoc());
    if (auto call = dyn_cast<bf::AtenOp>(made))
      call.setNoGrad(false);
    for (auto [theirs, ours] : llvm::zip(from->getResults(), made->getResults()))
      forwardOf[theirs] = ours;
  }
  for (auto [original, result] : llvm::zip(op.getResults(), parts.results)) {
    Value replacement = map.lookupOrDefault(result);
    renameValue(original, replacement);
    original.replaceAllUsesWith(replacement);
  }
  shared.retire(op);
  return from;
}

//===- Gradients ---------------------------------------------------------------------------===//

void ReverseSweep::setGradient(Value value, Value gradient, Presence presence) {
  gradients[value] = gradient;
  presences.erase(value);
  if (presence.isThere)
    presences[value] = presence;
}

void ReverseSweep::accumulate(Value value, Value gradient, Location location, Presence presence) {
  Value sum = gradients.lookup(value);
  if (!sum)
    return setGradient(value, gradient, presence);
  Presence before = presenceOf(value);
  if (before.isThere == presence.isThere) {
    before.elseZero = before.elseZero && presence.elseZero;
    return setGradient(value, add(sum, gradient, location), before);
  }
  sum = add(settled(sum, before), settled(gradient, presence), location);
  Presence either;
  if (before.isThere && presence.isThere)
    either.isThere = arith::OrIOp::create(builder, location, before.isThere, presence.isThere);
  setGradient(value, sum, either);
}

Value ReverseSweep::settled(Value gradient, Presence presence) {
  if (!presence.isThere || presence.elseZero)
    return gradient;
  return arith::SelectOp::create(builder, gradient.getLoc(), presence.isThere, gradient,
                                 like("aten::zeros_like", gradient));
}

// Of what is computed from the gradients of all of these that have one.
Presence ReverseSweep::presenceOfAll(ValueRange values) {
  Presence all;
  for (Value value : values) {
    if (!gradients.contains(value))
      continue;
    Value isThere = presenceOf(value).isThere;
    if (!isThere)
      return {};
    if (!all.isThere)
      all = {isThere, /*elseZero=*/false};
    else if (all.isThere != isThere)
      all.isThere = arith::OrIOp::create(builder, value.getLoc(), all.isThere, isThere);
  }
  return all;
}

Value ReverseSweep::add(Value a, Value b, Location location) {
  return createAten(builder, location, "aten::add.Tensor", {operand(0), operand(1), {int64_t{1}}},
                    ValueRange{a, b}, TypeRange{a.getType()}, {}, !shared.recordsGraph)
      ->getResult(0);
}

Value ReverseSweep::like(StringRef schema, Value value) {
  AtenArg args[] = {operand(0), none(), none(), none(), none(), none()};
  return createAten(builder, value.getLoc(), schema, args, ValueRange{value},
                    TypeRange{value.getType()}, {}, true)
      ->getResult(0);
}

// A known size spares the tape the tensor.
Value ReverseSweep::zeros(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!type.hasStaticShape() || !forward)
    return like("aten::zeros_like", valueOf(value));
  return createZeros(builder, value.getLoc(), type);
}

Value ReverseSweep::gradientOrZero(Value value) {
  Value gradient = gradients.lookup(value);
  return gradient ? settled(gradient, presenceOf(value)) : zeros(value);
}

void ReverseSweep::renameValue(Value from, Value to) {
  if (Value gradient = gradients.lookup(from)) {
    Presence presence = presenceOf(from);
    gradients.erase(from);
    presences.erase(from);
    setGradient(to, gradient, presence);
  }
  if (auto standIn = read.find(from); standIn != read.end()) {
    read[to] = standIn->second;
    read[from] = nullptr;
  }
}

//===- Forward values ----------------------------------------------------------------------===//

Value ReverseSweep::valueOf(Value value) {
  if (!forward)
    return value;
  if (value.getParentBlock() != forward)
    return outer->valueOf(value);
  Operation *&standIn = read[value];
  if (!standIn) {
    OpBuilder start = OpBuilder::atBlockBegin(backward);
    standIn =
        UnrealizedConversionCastOp::create(start, value.getLoc(), value.getType(), ValueRange());
  }
  return standIn->getResult(0);
}

// A size is smaller than its tensor, so it is taken in the forward pass.
Value ReverseSweep::sizeOf(Value tensor, int64_t dim) {
  auto measure = [&](OpBuilder &at) {
    return bf::DimOp::create(at, tensor.getLoc(), at.getI64Type(), tensor,
                             at.getI64IntegerAttr(dim))
        .getSize();
  };
  ReverseSweep *owner = this;
  while (owner->forward && tensor.getParentBlock() != owner->forward)
    owner = owner->outer;
  if (!owner->forward)
    return measure(builder);
  Value &size = owner->sizes[{tensor, dim}];
  if (!size) {
    OpBuilder behind(tensor.getContext());
    behind.setInsertionPointAfterValue(tensor);
    size = measure(behind);
  }
  return owner->valueOf(size);
}

void ReverseSweep::tapeValues() {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*backward)))
    if (isOpTriviallyDead(&op) && !isa<UnrealizedConversionCastOp>(op))
      op.erase();
  SmallVector<Value> pushed;
  SmallVector<Operation *> standIns;
  for (auto &[value, standIn] : read) {
    if (!standIn)
      continue;
    if (standIn->use_empty()) {
      standIn->erase();
    } else if (matchPattern(value, m_Constant())) {
      OpBuilder start(standIn);
      standIn->replaceAllUsesWith(start.clone(*value.getDefiningOp()));
      standIn->erase();
    } else {
      pushed.push_back(value);
      standIns.push_back(standIn);
    }
  }
  if (pushed.empty())
    return;
  Operation *end = forward->getTerminator();
  OpBuilder pushes(end), pops = OpBuilder::atBlockBegin(backward);
  auto push = bf::PushOp::create(pushes, end->getLoc(), tape.forward, pushed);
  auto pop = bf::PopOp::create(pops, end->getLoc(), TypeRange(ValueRange(pushed)), tape.backward);
  IntegerAttr site = pushes.getI64IntegerAttr(shared.derivatives.nextSite());
  push->setAttr(kTapeSiteAttr, site);
  pop->setAttr(kTapeSiteAttr, site);
  for (auto [standIn, value] : llvm::zip(standIns, pop.getResults())) {
    standIn->getResult(0).replaceAllUsesWith(value);
    standIn->erase();
  }
}

} // namespace bifront
