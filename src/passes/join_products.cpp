#include "passes/join_products.h"

#include "ir/aten_op.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace bifront {
namespace {

// Measured (decision 024): a smaller sum stays in the caches.
constexpr int64_t kSmallestSum = 1 << 20; // elements

// `mm(t(left), right)`, alone or added to a sum.
struct Product {
  Value left, right;
};

bool isStaticMatrix(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 && type.hasStaticShape();
}

std::optional<Product> productOf(Value turned, Value right) {
  auto call = turned.getDefiningOp<bf::AtenOp>();
  if (!call || call.getSchema() != "aten::t")
    return std::nullopt;
  Product product{call.getInputs()[0], right};
  if (!isStaticMatrix(product.left) || !isStaticMatrix(product.right))
    return std::nullopt;
  return product;
}

// Of what sumProducts makes.
std::optional<Product> addedBy(bf::AtenOp op) {
  if (op.getSchema() != "aten::addmm_" || op.getInputs().size() != 3 || op.getNumResults() != 2 ||
      !op.getResult(0).use_empty())
    return std::nullopt;
  AtenArgs args(op);
  if (args.intNamed("beta") != 1 || args.intNamed("alpha") != 1)
    return std::nullopt;
  return productOf(op.getInputs()[1], op.getInputs()[2]);
}

std::optional<Product> startOf(bf::AtenOp op) {
  bool isProduct = op.getSchema() == "aten::mm" && op->hasOneUse();
  return isProduct ? productOf(op.getInputs()[0], op.getInputs()[1]) : std::nullopt;
}

// A sum from its last product back to what is no product.
struct Chain {
  SmallVector<bf::AtenOp> calls; // the last one first
  SmallVector<Product> products;
  Value begin; // null: it begins with a product

  explicit Chain(bf::AtenOp last) {
    for (bf::AtenOp op = last; std::optional<Product> added = addedBy(op);) {
      calls.push_back(op);
      products.push_back(*added);
      begin = op.getInputs()[0];
      op = begin.getDefiningOp<bf::AtenOp>();
      if (!op || !begin.hasOneUse() || op->getBlock() != last->getBlock())
        return;
      if (std::optional<Product> start = startOf(op)) {
        calls.push_back(op);
        products.push_back(*start);
        begin = {};
        return;
      }
    }
  }

  // The rows together are no larger than the sum twice.
  bool isWorthIt() const {
    if (products.size() < 2)
      return false;
    int64_t rows = 0, width = 0, height = 0;
    for (const Product &product : products) {
      auto left = cast<RankedTensorType>(product.left.getType());
      rows += left.getDimSize(0);
      height = left.getDimSize(1);
      width = cast<RankedTensorType>(product.right.getType()).getDimSize(1);
    }
    return width * height >= kSmallestSum && rows * (width + height) <= 2 * width * height;
  }
};

AtenArg operand(uint32_t index) { return {AtenArg::Operand{index}}; }

Value rowsOfAll(OpBuilder &builder, Location loc, ArrayRef<Value> parts) {
  AtenArg::List list;
  TensorType type = valueTypeOf(parts[0].getType()).tensor;
  type.order.clear();
  type.dims[0] = Dim::fixed(0);
  for (auto [index, part] : llvm::enumerate(parts)) {
    list.push_back(operand(index));
    for (int64_t &size : type.dims[0].world)
      size += cast<RankedTensorType>(part.getType()).getDimSize(0);
  }
  AtenArg args[] = {{std::move(list)}, {int64_t{0}}};
  return createAten(builder, loc, "aten::cat", args, parts, mlirTypeOf(builder.getContext(), type))
      .getResult(0);
}

void join(Chain &chain) {
  bf::AtenOp last = chain.calls.front();
  Location loc = last.getLoc();
  OpBuilder builder(last);
  SmallVector<Value> lefts, rights;
  for (const Product &product : llvm::reverse(chain.products)) {
    lefts.push_back(product.left);
    rights.push_back(product.right);
  }
  Value left = rowsOfAll(builder, loc, lefts), right = rowsOfAll(builder, loc, rights);
  TensorType turned = valueTypeOf(left.getType()).tensor;
  std::swap(turned.dims[0], turned.dims[1]);
  Value transposed = createAten(builder, loc, "aten::t", {operand(0)}, left,
                                mlirTypeOf(builder.getContext(), turned))
                         .getResult(0);
  Value sum;
  if (chain.begin) {
    last->setOperands({chain.begin, transposed, right});
    sum = last.getResult(1);
    chain.calls.erase(chain.calls.begin());
  } else {
    AtenArg args[] = {operand(0), operand(1)};
    sum = createAten(builder, loc, "aten::mm", args, ValueRange{transposed, right}, last.getType(1),
                     {}, last.getNoGrad())
              .getResult(0);
    last.getResult(1).replaceAllUsesWith(sum);
  }
  for (bf::AtenOp call : chain.calls) // each is used by the one ahead of it in the list
    call->erase();
}

class JoinProductsPass : public PassWrapper<JoinProductsPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(JoinProductsPass)
  StringRef getArgument() const final { return "bf-join-products"; }
  StringRef getDescription() const final { return "Products that are added up are one"; }
  void runOnOperation() final { joinProducts(getOperation()); }
};

} // namespace

void joinProducts(ModuleOp module) {
  SmallVector<bf::AtenOp> added; // in order: the last of a chain is found first from behind
  module.walk([&](bf::AtenOp op) {
    if (addedBy(op))
      added.push_back(op);
  });
  llvm::DenseSet<Operation *> done;
  for (bf::AtenOp last : llvm::reverse(added)) {
    if (done.contains(last))
      continue;
    Chain chain(last);
    for (bf::AtenOp call : chain.calls)
      done.insert(call);
    if (chain.isWorthIt())
      join(chain);
  }
}

std::unique_ptr<Pass> createJoinProductsPass() { return std::make_unique<JoinProductsPass>(); }

} // namespace bifront
