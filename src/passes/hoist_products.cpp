#include "passes/hoist_products.h"

#include "ir/aten_op.h"
#include "passes/count_loops.h"
#include "passes/escapes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace bifront {
namespace {

// Measured (decision 045): of more, a product takes no longer than what it gives to be kept for all
// iterations.
constexpr int64_t kMostRows = 4;

// `product` is that of a row (of the whole: a matrix) and a weight, with a bias or none.
struct RowProduct {
  bf::AtenOp product, row;
  Value whole;
  Value weight, bias;
  bf::AtenOp turned; // what makes the right factor of the weight; null: it is the weight

  // Made of rows of one tensor in the same way.
  bool isLike(RowProduct other) {
    return whole == other.whole && weight == other.weight && bias == other.bias &&
           !turned == !other.turned && product.getArgsAttr() == other.product.getArgsAttr() &&
           product.getSchema() == other.product.getSchema() &&
           product.getNoGrad() == other.product.getNoGrad();
  }
};

TensorType tensorOf(Value value) { return valueTypeOf(value.getType()).tensor; }

bool isFloatOfRank(Value value, int64_t rank) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == rank && isa<FloatType>(type.getElementType());
}

// A gradient with respect to the row alone would no longer see the product. Where the row is handed
// on, nothing is known of that.
bool isReadByCallsOnly(bf::AtenOp row) {
  return llvm::all_of(row->getUsers(), [](Operation *user) { return isa<bf::AtenOp>(user); });
}

std::optional<RowProduct> rowProductOf(bf::AtenOp product) {
  bool isSum = product.getSchema() == "aten::addmm";
  if ((!isSum && product.getSchema() != "aten::mm") ||
      product.getInputs().size() != (isSum ? 3 : 2) || !isFloatOfRank(product.getResult(0), 2))
    return std::nullopt;
  Value left = product.getInputs()[isSum], right = product.getInputs()[isSum + 1];
  auto row = left.getDefiningOp<bf::AtenOp>();
  if (!row || row.getSchema() != "aten::select.int" || !isFloatOfRank(row.getInputs()[0], 3) ||
      row.getNoGrad() != product.getNoGrad() || !isReadByCallsOnly(row) ||
      escapes(product.getResult(0))) // as memory of its own
    return std::nullopt;
  RowProduct found{.product = product, .row = row, .whole = row.getInputs()[0], .weight = right};
  found.bias = isSum ? product.getInputs()[0] : Value();
  if (AtenArgs(row).intNamed("dim") != 0 || (isSum && !isFloatOfRank(found.bias, 1)))
    return std::nullopt;
  if (auto turned = right.getDefiningOp<bf::AtenOp>(); turned && turned.getSchema() == "aten::t") {
    if (turned.getNoGrad() != product.getNoGrad() || !isReadByCallsOnly(turned))
      return std::nullopt;
    found.turned = turned;
    found.weight = turned.getInputs()[0];
  }
  TensorType whole = tensorOf(found.whole);
  const Dim &rows = whole.dims[1], &depth = whole.dims[2];
  bool isWorthIt = std::max(rows.world[0], rows.world[1]) <= kMostRows && depth.world[0] > 0 &&
                   !depth.isDynamic();
  return isWorthIt ? std::optional(found) : std::nullopt;
}

//===- Loops through all rows --------------------------------------------------------------===//

bool isOneMore(Value next, Value count) {
  auto sum = next.getDefiningOp<arith::AddIOp>();
  return sum && sum.getLhs() == count && matchPattern(sum.getRhs(), m_One());
}

bool isNumberOfRows(Value number, const Dim &rows) {
  if (auto size = number.getDefiningOp<bf::DimOp>())
    return tensorOf(size.getTensor()).dims[size.getIndex()] == rows;
  IntegerAttr constant;
  return matchPattern(number, m_Constant(&constant)) && !rows.isDynamic() &&
         constant.getInt() == rows.world[0];
}

// `count < rows`.
bool isBelow(Value condition, Value count, const Dim &rows) {
  auto compared = condition.getDefiningOp<arith::CmpIOp>();
  return compared && compared.getPredicate() == arith::CmpIPredicate::slt &&
         compared.getLhs() == count && isNumberOfRows(compared.getRhs(), rows);
}

// The loop goes on until its count, by which the row is chosen, has reached the number of rows, and
// ends for no other reason.
bool goesThroughAllRows(scf::WhileOp loop, const RowProduct &found) {
  auto count = dyn_cast_or_null<BlockArgument>(AtenArgs(found.row).valueNamed("index"));
  if (!count || count.getOwner() != loop.getAfterBody())
    return false;
  std::optional<unsigned> carried = carriedNumbers(loop)[count.getArgNumber()];
  IntegerAttr first;
  if (!carried || !matchPattern(loop.getInits()[*carried], m_Constant(&first)) ||
      first.getInt() < 0 || first.getInt() > 1) // the first iteration may be ahead of the loop
    return false;
  Value next = loop.getYieldOp()->getOperand(*carried);
  if (!isOneMore(next, count))
    return false;
  const Dim rows = tensorOf(found.whole).dims[0];
  Value condition = loop.getConditionOp().getCondition();
  if (auto decided = dyn_cast<BlockArgument>(condition);
      decided && decided.getOwner() == loop.getBeforeBody())
    return isBelow(loop.getYieldOp()->getOperand(decided.getArgNumber()), next, rows);
  return isBelow(condition, loop.getBeforeArguments()[*carried], rows);
}

bool isFromOutside(Value value, scf::WhileOp loop) {
  return !value || !loop->isAncestor(value.getParentRegion()->getParentOp());
}

//===- One product of all rows -------------------------------------------------------------===//

// Behind what the product is made of, for others of its kind may be ahead of the loop.
void setBehindOperands(OpBuilder &builder, const RowProduct &found, Block *block) {
  Operation *last = nullptr;
  for (Value operand : {found.whole, found.weight, found.bias}) {
    Operation *made = operand ? operand.getDefiningOp() : nullptr;
    if (made && made->getBlock() == block && (!last || last->isBeforeInBlock(made)))
      last = made;
  }
  if (last)
    builder.setInsertionPointAfter(last);
  else
    builder.setInsertionPointToStart(block);
}

// aten::reshape of `value` to `type`. Of its sizes those that only the run knows are `like`'s;
// there is but one where that is null.
Value reshaped(OpBuilder &builder, Location loc, Value value, const TensorType &type, Value like,
               bool noGrad) {
  AtenArg::List sizes;
  SmallVector<Value> inputs = {value};
  for (size_t i = 0; i < type.dims.size(); ++i) {
    if (!type.dims[i].isDynamic()) {
      sizes.push_back({type.dims[i].world[0]});
    } else if (!like) {
      sizes.push_back({int64_t{-1}});
    } else {
      sizes.push_back({AtenArg::Operand{static_cast<uint32_t>(inputs.size())}});
      inputs.push_back(bf::DimOp::create(builder, loc, builder.getI64Type(), like,
                                         builder.getI64IntegerAttr(i)));
    }
  }
  AtenArg args[] = {{AtenArg::Operand{0}}, {std::move(sizes)}};
  return createAten(builder, loc, "aten::reshape", args, inputs,
                    mlirTypeOf(builder.getContext(), type), {}, noGrad)
      .getResult(0);
}

Value productOfAllRows(OpBuilder &builder, RowProduct &found) {
  Location loc = found.product.getLoc();
  bool noGrad = found.product.getNoGrad();
  TensorType whole = tensorOf(found.whole), rows = whole, product = rows;
  rows.order.clear();
  rows.dims = {whole.dims[0], whole.dims[2]};
  for (int world : {0, 1})
    rows.dims[0].world[world] *= whole.dims[1].world[world];
  product = rows;
  product.dims[1] = tensorOf(found.product.getResult(0)).dims[1];
  TensorType result = whole;
  result.order.clear();
  result.dims[2] = product.dims[1];

  Value flat = reshaped(builder, loc, found.whole, rows, {}, noGrad), right = found.weight;
  if (found.turned)
    right = builder.clone(*found.turned)->getResult(0);
  SmallVector<Value> factors = {flat, right};
  if (found.bias)
    factors.insert(factors.begin(), found.bias);
  auto all = cast<bf::AtenOp>(builder.clone(*found.product));
  all->setOperands(factors);
  all.getResult(0).setType(mlirTypeOf(builder.getContext(), product));
  return reshaped(builder, loc, all.getResult(0), result, found.whole, noGrad);
}

void takeRow(RowProduct found, Value products) {
  OpBuilder builder(found.product);
  auto row = cast<bf::AtenOp>(builder.clone(*found.row));
  row->setOperand(0, products);
  row.getResult(0).setType(found.product.getType(0));
  found.product.getResult(0).replaceAllUsesWith(row.getResult(0));
  found.product->erase();
}

void hoist(RowProduct &found, scf::WhileOp loop) {
  SmallVector<RowProduct> all;
  for (Block *block : {loop->getBlock(), loop.getAfterBody()})
    for (bf::AtenOp op : block->getOps<bf::AtenOp>())
      if (std::optional<RowProduct> other = rowProductOf(op); other && found.isLike(*other))
        all.push_back(*other);
  OpBuilder builder(loop);
  setBehindOperands(builder, found, loop->getBlock());
  Value products = productOfAllRows(builder, found);
  for (const RowProduct &one : all)
    takeRow(one, products);
}

// A gradient that an iteration takes must find all that it goes through in the loop.
bool takesGradients(scf::WhileOp loop) {
  return loop.walk([](bf::GradOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

bool hoistFrom(scf::WhileOp loop) {
  for (bf::AtenOp op : loop.getAfterBody()->getOps<bf::AtenOp>()) {
    std::optional<RowProduct> found = rowProductOf(op);
    if (!found || !isFromOutside(found->whole, loop) || !isFromOutside(found->weight, loop) ||
        !isFromOutside(found->bias, loop) || !goesThroughAllRows(loop, *found))
      continue;
    hoist(*found, loop);
    return true;
  }
  return false;
}

class HoistProductsPass : public PassWrapper<HoistProductsPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(HoistProductsPass)
  StringRef getArgument() const final { return "bf-hoist-products"; }
  StringRef getDescription() const final { return "Products of rows are one ahead of the loop"; }
  void runOnOperation() final { hoistProducts(getOperation()); }
};

} // namespace

void hoistProducts(ModuleOp module) {
  SmallVector<scf::WhileOp> loops;
  module.walk([&](scf::WhileOp loop) {
    if (!takesGradients(loop))
      loops.push_back(loop);
  });
  for (scf::WhileOp loop : loops)
    while (hoistFrom(loop)) {
    }
}

std::unique_ptr<Pass> createHoistProductsPass() { return std::make_unique<HoistProductsPass>(); }

} // namespace bifront
