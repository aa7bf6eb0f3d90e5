#include "passes/lay_out_results.h"

#include "ir/aten_op.h"
#include "passes/escapes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace bifront {
namespace {

// c10::MemoryFormat's numbers.
enum class Format : int64_t { Contiguous = 0, Preserve = 1, ChannelsLast = 2, ChannelsLast3d = 3 };

class ResultLayouts {
public:
  explicit ResultLayouts(func::FuncOp function) : builder(function.getContext()) {
    Operation *end = function.getBody().front().getTerminator();
    builder.setInsertionPoint(end);
    llvm::MapVector<std::pair<Value, StringRef>, bf::StoreAttrOp> last;
    for (bf::StoreAttrOp store : function.getOps<bf::StoreAttrOp>())
      last[{store.getTarget(), store.getName()}] = store;
    for (auto &[attribute, store] : last)
      if (store.getValue())
        leave(store->getOpOperand(1));
    for (OpOperand &operand : end->getOpOperands())
      leave(operand);
  }

  void layOut() {
    for (auto &[tensor, uses] : leaving) {
      if (!isDense(tensor, uses) || leavingOf[viewedValue(tensor)] > 1)
        continue;
      Value laidOut = inOrder(tensor, orderOf(tensor));
      for (OpOperand *use : uses) {
        use->set(laidOut);
        // What it is in the end is assigned.
        if (isa<bf::StoreAttrOp>(use->getOwner()))
          use->getOwner()->moveAfter(laidOut.getDefiningOp());
      }
    }
  }

private:
  using Uses = SmallVector<OpOperand *, 2>;

  void leave(OpOperand &operand) {
    Value tensor = operand.get();
    if (!isa<RankedTensorType>(tensor.getType()))
      return;
    Uses &uses = leaving[tensor];
    leavingOf[viewedValue(tensor)] += uses.empty();
    uses.push_back(&operand);
  }

  // Whether all strides of the tensor follow from the order of its dimensions.
  static bool isDense(Value tensor, const Uses &uses) {
    Operation *op = tensor.getDefiningOp();
    if (!op || op->getNumRegions() != 0 || cast<RankedTensorType>(tensor.getType()).getRank() < 2)
      return false;
    if (!orderOf(tensor).empty())
      return true;
    // PyTorch makes a `.grad` dense, not each gradient or buffer that a program asks for.
    bool isGradient =
        llvm::any_of(uses, [](OpOperand *use) { return isa<bf::StoreAttrOp>(use->getOwner()); });
    auto call = dyn_cast<bf::AtenOp>(op);
    bool mayHaveGaps =
        isa<bf::GradOp>(op) || (call && call.getBaseName().ends_with("empty_strided"));
    return mayHaveGaps ? isGradient : call && !isView(call);
  }

  Value inOrder(Value tensor, ArrayRef<int64_t> order) {
    Location location = tensor.getLoc();
    auto type = cast<RankedTensorType>(tensor.getType());
    constexpr int64_t channelsLast[] = {0, 2, 3, 1}, channelsLast3d[] = {0, 2, 3, 4, 1};
    auto format = order.empty()                       ? Format::Contiguous
                  : order == ArrayRef(channelsLast)   ? Format::ChannelsLast
                  : order == ArrayRef(channelsLast3d) ? Format::ChannelsLast3d
                                                      : Format::Preserve;
    if (format == Format::Contiguous)
      return withUsualStrides(contiguous(tensor, type, format, location), type, location);
    if (format != Format::Preserve)
      return contiguous(tensor, type, format, location);
    SmallVector<int64_t> back(order.size());
    for (auto [place, dim] : llvm::enumerate(order))
      back[dim] = int64_t(place);
    Value permuted = permute(tensor, order, location);
    auto inOrder = cast<RankedTensorType>(permuted.getType());
    return permute(contiguous(permuted, inOrder, Format::Contiguous, location), back, location);
  }

  // Of dimensions of size one any stride is as good to PyTorch, but there is a usual one.
  Value withUsualStrides(Value tensor, RankedTensorType type, Location location) {
    if (!type.hasStaticShape() || !llvm::is_contained(type.getShape(), 1))
      return tensor;
    std::vector<AtenArg> sizes;
    for (int64_t size : type.getShape())
      sizes.push_back({size});
    return createAten(builder, location, "aten::reshape",
                      {{AtenArg::Operand{0}}, {std::move(sizes)}}, tensor, type)
        .getResult(0);
  }

  Value contiguous(Value tensor, RankedTensorType type, Format format, Location location) {
    return createAten(builder, location, "aten::contiguous",
                      {{AtenArg::Operand{0}}, {int64_t(format)}}, tensor, type)
        .getResult(0);
  }

  Value permute(Value tensor, ArrayRef<int64_t> order, Location location) {
    auto type = cast<RankedTensorType>(tensor.getType());
    auto encoding = dyn_cast_or_null<bf::TensorEncodingAttr>(type.getEncoding());
    SmallVector<int64_t> sizes, worlds;
    std::vector<AtenArg> dims;
    for (int64_t dim : order) {
      sizes.push_back(type.getDimSize(dim));
      dims.push_back({dim});
      if (encoding && type.isDynamicDim(dim))
        llvm::append_range(worlds, encoding.getWorlds().slice(2 * type.getDynamicDimIndex(dim), 2));
    }
    Attribute permuted;
    if (encoding)
      permuted = bf::TensorEncodingAttr::get(type.getContext(), worlds, encoding.getDevice());
    auto result = RankedTensorType::get(sizes, type.getElementType(), permuted);
    return createAten(builder, location, "aten::permute",
                      {{AtenArg::Operand{0}}, {std::move(dims)}}, tensor, result)
        .getResult(0);
  }

  OpBuilder builder;
  llvm::MapVector<Value, Uses> leaving;
  DenseMap<Value, unsigned> leavingOf; // how many tensors over one memory
};

class LayOutResultsPass : public PassWrapper<LayOutResultsPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LayOutResultsPass)
  StringRef getArgument() const final { return "bf-lay-out-results"; }
  StringRef getDescription() const final {
    return "Give results the strides that eager gives them";
  }
  void runOnOperation() final { layOutResults(getOperation()); }
};

} // namespace

void layOutResults(ModuleOp module) {
  auto functions = module.getOps<func::FuncOp>();
  if (!functions.empty() && !(*functions.begin()).isDeclaration() &&
      (*functions.begin()).getBody().hasOneBlock())
    ResultLayouts(*functions.begin()).layOut();
}

std::unique_ptr<Pass> createLayOutResultsPass() { return std::make_unique<LayOutResultsPass>(); }

} // namespace bifront
