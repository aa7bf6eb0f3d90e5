#include "passes/simplify.h"

#include "ir/aten_op.h"
#include "passes/cut_unread_carries.h"
#include "passes/escapes.h"
#include "passes/view_ops.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;

namespace bifront {
namespace {

// Operands that are constants become arguments in place.
LogicalResult writeConstantsInPlace(bf::AtenOp op, PatternRewriter &rewriter, bool) {
  bool any = false;
  for (Value input : op.getInputs())
    any |= !isa<RankedTensorType>(input.getType()) && matchPattern(input, m_Constant());
  if (!any)
    return failure();
  SmallVector<Value> kept;
  SmallVector<int32_t> newNumber;
  unsigned next = 0;
  std::function<Attribute(Attribute)> rewrite = [&](Attribute arg) -> Attribute {
    if (auto list = dyn_cast<ArrayAttr>(arg)) {
      SmallVector<Attribute> items;
      for (Attribute item : list)
        items.push_back(rewrite(item));
      return rewriter.getArrayAttr(items);
    }
    if (!isa<UnitAttr>(arg))
      return arg;
    Value input = op.getInputs()[next++];
    Attribute value;
    newNumber.push_back(kept.size());
    if (!isa<RankedTensorType>(input.getType()) && matchPattern(input, m_Constant(&value)) &&
        isa<BoolAttr, IntegerAttr, FloatAttr>(value))
      return value;
    kept.push_back(input);
    return arg;
  };
  SmallVector<Attribute> args;
  for (Attribute arg : op.getArgs())
    args.push_back(rewrite(arg));
  if (kept.size() == op.getInputs().size())
    return failure();
  SmallVector<int32_t> written;
  for (int32_t operand : op.getWrittenOperands())
    written.push_back(newNumber[operand]);
  rewriter.replaceOpWithNewOp<bf::AtenOp>(
      op, op.getResultTypes(), op.getSchemaAttr(), rewriter.getArrayAttr(args),
      op.getWritten() ? rewriter.getDenseI32ArrayAttr(written) : nullptr, op.getNoGradAttr(), kept);
  return success();
}

// The result is `value`, memory aside. Not so where the program can see whose memory it is.
LogicalResult forward(bf::AtenOp op, Value value, PatternRewriter &rewriter, bool takesGradients) {
  bool cutsGradient = takesGradients && op.getNoGrad();
  if (cutsGradient || op.getResult(0).getType() != value.getType() || escapes(op.getResult(0)))
    return failure();
  rewriter.replaceOp(op, value);
  return success();
}

bool sameStaticOrNamedShape(Value a, Value b) {
  auto left = dyn_cast<RankedTensorType>(a.getType()),
       right = dyn_cast<RankedTensorType>(b.getType());
  return left && right && haveSameShape(left, right);
}

bool isReshape(bf::AtenOp op) {
  return llvm::StringSwitch<bool>(op.getSchema())
      .Cases({"aten::view", "aten::_unsafe_view", "aten::reshape", "aten::_reshape_alias"}, true)
      .Default(false);
}

std::optional<SmallVector<int64_t>> permutationOf(bf::AtenOp op) {
  auto type = op.getInputs().empty() ? RankedTensorType()
                                     : dyn_cast<RankedTensorType>(op->getOperand(0).getType());
  if (!type || op.getArgs().empty() || !isa<UnitAttr>(op.getArgs()[0]))
    return std::nullopt;
  int64_t rank = type.getRank();
  SmallVector<int64_t> dims(rank);
  std::iota(dims.begin(), dims.end(), 0);
  AtenArgs args(op);
  auto wrap = [&](const AtenArg &arg) -> std::optional<int64_t> {
    auto *dim = std::get_if<int64_t>(&arg.value);
    if (!dim || *dim < -rank || *dim >= rank)
      return std::nullopt;
    return *dim < 0 ? *dim + rank : *dim;
  };
  if (op.getSchema() == "aten::t") {
    std::reverse(dims.begin(), dims.end());
  } else if (op.getSchema() == "aten::transpose.int") {
    auto first = wrap(args.at(1)), second = wrap(args.at(2));
    if (!first || !second)
      return std::nullopt;
    std::swap(dims[*first], dims[*second]);
  } else if (op.getSchema() == "aten::permute") {
    auto *list = std::get_if<AtenArg::List>(&args.at(1).value);
    if (!list || int64_t(list->size()) != rank)
      return std::nullopt;
    for (int64_t i = 0; i < rank; ++i) {
      auto dim = wrap((*list)[i]);
      if (!dim)
        return std::nullopt;
      dims[i] = *dim;
    }
  } else {
    return std::nullopt;
  }
  return dims;
}

// A permutation of a permutation is one, often none.
LogicalResult mergePermutations(bf::AtenOp op, PatternRewriter &rewriter, bool takesGradients) {
  auto outer = permutationOf(op);
  if (!outer)
    return failure();
  auto identity = [](ArrayRef<int64_t> dims) {
    for (int64_t i = 0; i < int64_t(dims.size()); ++i)
      if (dims[i] != i)
        return false;
    return true;
  };
  if (identity(*outer))
    return forward(op, op->getOperand(0), rewriter, takesGradients);
  auto producer = op->getOperand(0).getDefiningOp<bf::AtenOp>();
  auto inner = producer ? permutationOf(producer) : std::nullopt;
  if (!inner || inner->size() != outer->size() || producer.getNoGrad() != op.getNoGrad())
    return failure();
  AtenArg::List dims;
  SmallVector<int64_t> merged;
  for (int64_t dim : *outer) {
    merged.push_back((*inner)[dim]);
    dims.push_back({(*inner)[dim]});
  }
  if (identity(merged))
    return forward(op, producer->getOperand(0), rewriter, takesGradients);
  Value replaced =
      createAten(rewriter, op.getLoc(), "aten::permute", {{AtenArg::Operand{0}}, {std::move(dims)}},
                 producer->getOperand(0), op.getResultTypes(), {}, op.getNoGrad())
          .getResult(0);
  rewriter.replaceOp(op, replaced);
  return success();
}

LogicalResult mergeReshapes(bf::AtenOp op, PatternRewriter &rewriter, bool takesGradients) {
  if (!isReshape(op))
    return failure();
  Value source = op->getOperand(0);
  if (sameStaticOrNamedShape(source, op.getResult(0)))
    return forward(op, source, rewriter, takesGradients);
  auto producer = source.getDefiningOp<bf::AtenOp>();
  if (!producer || !isReshape(producer) || producer.getNoGrad() != op.getNoGrad() ||
      !isa<UnitAttr>(producer.getArgs()[0]))
    return failure();
  rewriter.modifyOpInPlace(op, [&] {
    op->setOperand(0, producer->getOperand(0));
    op.setSchema("aten::reshape");
  });
  // _reshape_alias has strides besides sizes.
  if (op.getArgs().size() > 2) {
    rewriter.modifyOpInPlace(
        op, [&] { op.setArgsAttr(rewriter.getArrayAttr(op.getArgs().getValue().take_front(2))); });
  }
  return success();
}

// Casts to the dtype, device and layout that the tensor has.
LogicalResult dropCopies(bf::AtenOp op, PatternRewriter &rewriter, bool takesGradients) {
  StringRef schema = op.getSchema();
  AtenArgs args(op);
  bool noneBehind = true; // no memory format is asked for
  if (schema == "aten::_to_copy") {
    const AtenArg *format = args.named("memory_format");
    noneBehind = format && std::holds_alternative<AtenArg::None>(format->value);
  } else if (schema == "aten::expand") {
    // To the shape that it has.
  } else {
    return failure();
  }
  if (!noneBehind)
    return failure();
  return forward(op, op->getOperand(0), rewriter, takesGradients);
}

// x * 1, x / 1, x - 0 and x ** 1 are x, bit for bit (x + 0 is not: -0.0).
LogicalResult dropIdentities(bf::AtenOp op, PatternRewriter &rewriter, bool takesGradients) {
  int neutral = llvm::StringSwitch<int>(op.getSchema())
                    .Cases({"aten::mul.Tensor", "aten::mul.Scalar", "aten::div.Tensor",
                            "aten::div.Scalar", "aten::pow.Tensor_Scalar"},
                           1)
                    .Cases({"aten::sub.Tensor", "aten::sub.Scalar"}, 0)
                    .Default(-1);
  if (neutral < 0 || op.getInputs().size() != 1)
    return failure();
  AtenArgs args(op);
  const AtenArg &other = args.at(1);
  auto *integer = std::get_if<int64_t>(&other.value);
  auto *number = std::get_if<double>(&other.value);
  bool isNeutral = (integer && *integer == neutral) ||
                   (number && *number == double(neutral) && !std::signbit(*number));
  if (!isNeutral || !args.valueAt(0))
    return failure();
  return forward(op, op->getOperand(0), rewriter, takesGradients);
}

// Where no gradient is taken any more, a detached tensor is the tensor.
LogicalResult dropAliases(bf::AtenOp op, PatternRewriter &rewriter, bool takesGradients) {
  bool isAlias = llvm::StringSwitch<bool>(op.getSchema())
                     .Cases({"aten::detach", "aten::alias", "aten::lift_fresh"}, true)
                     .Default(false);
  if (!isAlias || takesGradients)
    return failure();
  return forward(op, op->getOperand(0), rewriter, takesGradients);
}

// What a tensor is behind a write that autograd did not see: where no gradient is taken any more,
// what was written.
LogicalResult dropHistories(bf::AtenOp op, PatternRewriter &rewriter, bool takesGradients) {
  if (takesGradients || op.getSchema() != "bifront::other_contents")
    return failure();
  return forward(op, op->getOperand(1), rewriter, takesGradients);
}

// Where rows are added up that an embedding has taken, nothing needs a table of all rows that holds
// the summand alone.
LogicalResult addRowsInPlace(bf::AtenOp op, PatternRewriter &rewriter, bool takesGradients) {
  if (takesGradients || op.getSchema() != "aten::add.Tensor" || op.getInputs().size() != 2)
    return failure();
  AtenArgs sum(op);
  auto *factor = std::get_if<int64_t>(&sum.at(2).value);
  auto table = op.getInputs()[1].getDefiningOp<bf::AtenOp>();
  if (!factor || *factor != 1 || !table || !table->hasOneUse() ||
      table.getSchema() != "aten::embedding_dense_backward" || table.getInputs().size() != 2 ||
      op.getInputs()[0].getType() != op.getType(0) || table.getType(0) != op.getType(0))
    return failure();
  AtenArgs rows(table);
  auto *padding = std::get_if<int64_t>(&rows.at(3).value);
  auto *scales = std::get_if<bool>(&rows.at(4).value);
  if (!padding || *padding >= 0 || !scales || *scales)
    return failure();
  Value gradient = table.getInputs()[0], indices = table.getInputs()[1];
  AtenArg args[] = {
      {AtenArg::Operand{0}}, {AtenArg::List{{AtenArg::Operand{1}}}}, {AtenArg::Operand{2}}, {true}};
  Type type = op.getType(0);
  auto made = createAten(rewriter, op.getLoc(), "aten::index_put_", args,
                         ValueRange{op.getInputs()[0], indices, gradient}, TypeRange{type, type},
                         {0}, op.getNoGrad());
  rewriter.replaceOp(op, made.getResult(1));
  return success();
}

// Of a product of which a part is all that is read, only that part is made: a part of a factor.
LogicalResult multiplyPart(bf::AtenOp op, PatternRewriter &rewriter, bool takesGradients) {
  if (takesGradients || op.getSchema() != "aten::slice.Tensor" || op.getInputs().size() != 1 ||
      escapes(op.getResult(0)))
    return failure();
  auto product = op.getInputs()[0].getDefiningOp<bf::AtenOp>();
  auto part = cast<RankedTensorType>(op.getType(0));
  if (!product || !product->hasOneUse() || product.getSchema() != "aten::mm" ||
      product->getBlock() != op->getBlock() || !part.hasStaticShape())
    return failure();
  AtenArgs slice(op);
  auto *dim = std::get_if<int64_t>(&slice.at(1).value);
  if (!dim)
    return failure();
  unsigned factor = *dim == 0 || *dim == -2 ? 0 : 1; // rows are the left one's
  SmallVector<Value> factors(product.getInputs());
  auto whole = cast<RankedTensorType>(factors[factor].getType());
  if (!whole.hasStaticShape())
    return failure();
  SmallVector<int64_t> shape(whole.getShape());
  shape[factor] = part.getDimSize(factor);
  auto type = RankedTensorType::get(shape, whole.getElementType(), whole.getEncoding());
  rewriter.setInsertionPoint(product);
  factors[factor] = takeView(rewriter, op, 0, factors[factor]);
  factors[factor].setType(type);
  AtenArg both[] = {{AtenArg::Operand{0}}, {AtenArg::Operand{1}}};
  auto made = createAten(rewriter, product.getLoc(), "aten::mm", both, factors, TypeRange{part});
  rewriter.replaceOp(op, made.getResult(0));
  return success();
}

// A rewrite of one call; `takesGradients`: autodiff has yet to run.
struct CallPattern : OpRewritePattern<bf::AtenOp> {
  using Rewrite = LogicalResult (*)(bf::AtenOp, PatternRewriter &, bool takesGradients);
  CallPattern(MLIRContext *context, Rewrite rewrite, bool takesGradients)
      : OpRewritePattern(context), rewrite(rewrite), takesGradients(takesGradients) {}
  LogicalResult matchAndRewrite(bf::AtenOp op, PatternRewriter &rewriter) const final {
    // All but the constants' rewrite one tensor, the first argument, into one result.
    bool oneToOne =
        op.getNumResults() == 1 && !op.getArgs().empty() && isa<UnitAttr>(op.getArgs()[0]) &&
        isa<RankedTensorType>(op->getOperand(0).getType()) && lookupSchema(op.getSchema());
    if (!oneToOne && rewrite != Rewrite(writeConstantsInPlace))
      return failure();
    return rewrite(op, rewriter, takesGradients);
  }
  Rewrite rewrite;
  bool takesGradients;
};

// A dimension that an input has too is read there: the value in between need not exist for it.
void readDimensionsFromInputs(func::FuncOp function) {
  DenseMap<std::pair<int64_t, int64_t>, std::pair<BlockArgument, int64_t>> places;
  auto pairOf = [](RankedTensorType type,
                   int64_t dim) -> std::optional<std::pair<int64_t, int64_t>> {
    auto encoding = dyn_cast_or_null<bf::TensorEncodingAttr>(type.getEncoding());
    if (!encoding || !type.isDynamicDim(dim))
      return std::nullopt;
    unsigned index = type.getDynamicDimIndex(dim);
    return std::pair(encoding.getWorlds()[2 * index], encoding.getWorlds()[2 * index + 1]);
  };
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    for (int64_t i = 0; type && i < type.getRank(); ++i)
      if (auto pair = pairOf(type, i))
        places.try_emplace(*pair, argument, i);
  }
  function.walk([&](bf::DimOp op) {
    auto pair = pairOf(op.getTensor().getType(), op.getIndexAttr().getInt());
    auto place = pair ? places.find(*pair) : places.end();
    if (place == places.end())
      return;
    op.getTensorMutable().assign(place->second.first);
    op.setIndex(place->second.second);
  });
}

// Equal values become one, but for those that must stay apart.
void mergeEqual(func::FuncOp function) {
  constexpr const char *kApart = "bf.apart";
  Builder builder(function.getContext());
  SmallVector<Operation *> apart = opsToKeepApart(function);
  for (auto [number, op] : llvm::enumerate(apart))
    op->setDiscardableAttr(kApart, builder.getI64IntegerAttr(number));
  IRRewriter rewriter(function.getContext());
  DominanceInfo dominance(function);
  eliminateCommonSubExpressions(rewriter, dominance, function);
  function.walk([&](Operation *op) { op->removeDiscardableAttr(kApart); });
}

// Results of a branch that are equal on both ways become one.
void mergeEqualResults(func::FuncOp function) {
  function.walk([](scf::IfOp branch) {
    if (branch.getNumResults() == 0)
      return;
    DenseMap<std::pair<Value, Value>, Value> known;
    for (auto [result, then, otherwise] :
         llvm::zip(branch.getResults(), branch.thenYield().getOperands(),
                   branch.elseYield().getOperands()))
      if (auto [first, isNew] = known.try_emplace({then, otherwise}, result); !isNew)
        result.replaceAllUsesWith(first->second);
  });
}

class SimplifyPass : public PassWrapper<SimplifyPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SimplifyPass)
  StringRef getArgument() const final { return "bf-simplify"; }
  StringRef getDescription() const final {
    return "Canonicalise, fold, forward views, remove common and dead values";
  }
  void runOnOperation() final {
    if (failed(simplify(getOperation())))
      signalPassFailure();
  }
};

} // namespace

LogicalResult simplify(ModuleOp module, bool combinesBranches) {
  MLIRContext *context = module.getContext();
  RewritePatternSet patterns(context);
  bool takesGradients =
      module.walk([](bf::GradOp) { return WalkResult::interrupt(); }).wasInterrupted();
  for (CallPattern::Rewrite rewrite :
       {addRowsInPlace, multiplyPart, writeConstantsInPlace, mergePermutations, mergeReshapes,
        dropCopies, dropIdentities, dropAliases, dropHistories})
    patterns.add<CallPattern>(context, rewrite, takesGradients);
  for (Dialect *dialect : context->getLoadedDialects())
    dialect->getCanonicalizationPatterns(patterns);
  for (RegisteredOperationName name : context->getRegisteredOperations())
    name.getCanonicalizationPatterns(patterns, context);
  // It compares each result of a branch with each other whenever it comes by: mergeEqualResults.
  SmallVector<std::string> leftOut = {"(anonymous namespace)::RemoveDuplicateSuccessorInputUses"};
  if (!combinesBranches)
    leftOut.push_back("(anonymous namespace)::CombineIfs");
  FrozenRewritePatternSet frozen(std::move(patterns), leftOut);
  // What grad mode was matters to autodiff only; without it, forward and backward share more.
  if (!takesGradients)
    module.walk([](bf::AtenOp op) { op.setNoGrad(false); });
  for (auto function : module.getOps<func::FuncOp>()) {
    readDimensionsFromInputs(function);
    cutUnreadCarries(function);
    GreedyRewriteConfig config;
    config.setUseTopDownTraversal(true);
    if (failed(applyPatternsGreedily(function, frozen, config)))
      return function.emitError() << "simplification does not come to an end";
    mergeEqual(function);
    mergeEqualResults(function);
    // Equal values give new dead and equal ones.
    if (failed(applyPatternsGreedily(function, frozen, config)))
      return function.emitError() << "simplification does not come to an end";
  }
  return success();
}

std::unique_ptr<Pass> createSimplifyPass() { return std::make_unique<SimplifyPass>(); }

} // namespace bifront
