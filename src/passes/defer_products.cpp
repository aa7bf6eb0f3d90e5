#include "passes/defer_products.h"

#include "ir/aten_op.h"
#include "passes/count_loops.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bifront {
namespace {

//===- Products and sums -------------------------------------------------------------------===//

// `mm(t(left), right)`: a sum over the rows of both.
struct Product {
  Value left, right;
};

// Measured (decision 024): below this size, or of more rows, a product takes no longer than its
// rows to be kept.
constexpr int64_t kSmallestProduct = 1 << 14; // elements
constexpr int64_t kMostRows = 8;

int64_t rowsOf(RankedTensorType type) {
  TensorType plain = valueTypeOf(type).tensor;
  return std::max(plain.dims[0].world[0], plain.dims[0].world[1]);
}

bool isLarge(Type type) {
  auto matrix = dyn_cast<RankedTensorType>(type);
  return matrix && matrix.getRank() == 2 && matrix.hasStaticShape() &&
         matrix.getNumElements() >= kSmallestProduct;
}

// What it is the transpose of.
Value transposed(Value value) {
  auto call = value.getDefiningOp<bf::AtenOp>();
  return call && call.getSchema() == "aten::t" ? call.getInputs()[0] : Value();
}

std::optional<Product> productOf(Value value) {
  if (!isLarge(value.getType()))
    return std::nullopt;
  // Simplification leaves that where the value may leave the graph.
  if (Value once = transposed(value))
    if (Value twice = transposed(once))
      value = twice;
  auto product = value.getDefiningOp<bf::AtenOp>();
  if (!product || product.getSchema() != "aten::mm" || !transposed(product.getInputs()[0]))
    return std::nullopt;
  Product result{transposed(product.getInputs()[0]), product.getInputs()[1]};
  auto left = cast<RankedTensorType>(result.left.getType());
  if (left.getRank() != 2 || rowsOf(left) > kMostRows)
    return std::nullopt;
  return result;
}

bool isZero(Value value) {
  auto made = value.getDefiningOp<bf::AtenOp>();
  return made && (made.getSchema() == "aten::zeros" || made.getSchema() == "aten::zeros_like");
}

// a + b, and nothing else.
bool isSum(Value value) {
  auto sum = value.getDefiningOp<bf::AtenOp>();
  if (!sum || sum.getSchema() != "aten::add.Tensor" || sum.getInputs().size() != 2 ||
      sum.getInputs()[0].getType() != value.getType() ||
      sum.getInputs()[1].getType() != value.getType())
    return false;
  return AtenArgs(sum).intNamed("alpha") == 1; // of a float nothing is said
}

Operation *endOf(func::FuncOp function) { return function.getBody().front().getTerminator(); }

//===- Where sums begin --------------------------------------------------------------------===//

// What is left of a value without the products that are added to it.
struct Origin {
  enum class Kind : uint8_t { Unknown, Nothing, Value } kind = Kind::Unknown;
  Value value; // Kind::Value: of this or an outer region, or an argument of the block

  static Origin nothing() { return {Kind::Nothing, {}}; }
  static Origin of(Value value) { return {Kind::Value, value}; }
  bool operator==(const Origin &) const = default;
};

// One for each function of the module and result of it: the argument that the result is a sum with.
class Origins {
public:
  explicit Origins(ModuleOp module) {
    for (auto function : module.getOps<func::FuncOp>())
      if (isSummarised(function))
        for (OpOperand &operand : endOf(function)->getOpOperands())
          if (isLarge(operand.get().getType()))
            summaries[{function, operand.getOperandNumber()}] = {};
    for (bool changed = true; changed;) {
      changed = false;
      for (auto function : module.getOps<func::FuncOp>())
        if (isSummarised(function))
          changed |= update(function);
    }
  }

  // Follows the sum to where it enters the region that `value` lies in.
  Origin find(Value value) {
    if (auto known = traced.find(value); known != traced.end())
      return known->second;
    Origin origin = trace(value);
    traced[value] = origin;
    return origin;
  }

  // The module is no longer what it was.
  void forget() { traced.clear(); }

  // The value ahead of the op that has made `value`. None where that op makes something else.
  std::optional<Origin> step(Value value) {
    if (productOf(value) || isZero(value))
      return Origin::nothing();
    if (isSum(value))
      return Origin::of(summand(value.getDefiningOp()).get());
    unsigned number = cast<OpResult>(value).getResultNumber();
    if (auto branch = value.getDefiningOp<scf::IfOp>())
      return ofBranch(branch, number);
    if (auto loop = value.getDefiningOp<scf::WhileOp>())
      return ofLoop(loop, number);
    if (auto call = value.getDefiningOp<func::CallOp>())
      return ofCall(call, number);
    return std::nullopt;
  }

  // What goes on: the other one is a product, or what nothing is known of.
  OpOperand &summand(Operation *sum) {
    OpOperand &first = sum->getOpOperand(0), &second = sum->getOpOperand(1);
    if (productOf(second.get()))
      return first;
    if (productOf(first.get()))
      return second;
    Origin origin = find(first.get());
    bool isOfRegion = origin.kind != Origin::Kind::Value || isa<BlockArgument>(origin.value) ||
                      origin.value.getParentRegion() != sum->getParentRegion();
    return isOfRegion ? first : second;
  }

private:
  // Whether all its calls are known, and what it does.
  static bool isSummarised(func::FuncOp function) {
    return function.isPrivate() && !function.isDeclaration();
  }

  Origin trace(Value value) {
    Region *region = value.getParentRegion();
    while (value.getParentRegion() == region && !isa<BlockArgument>(value)) {
      std::optional<Origin> before = step(value);
      if (!before)
        return Origin::of(value);
      if (before->kind != Origin::Kind::Value)
        return *before;
      value = before->value;
    }
    return Origin::of(value);
  }

  bool update(func::FuncOp function) {
    bool changed = false;
    for (OpOperand &operand : endOf(function)->getOpOperands()) {
      auto found = summaries.find({function, operand.getOperandNumber()});
      if (found == summaries.end())
        continue;
      Summary &summary = found->second;
      Origin origin = find(operand.get());
      bool good = origin.kind != Origin::Kind::Value || isa<BlockArgument>(origin.value);
      if (summary.bad || (good && origin == summary.origin))
        continue;
      // What was taken to be known for a function that calls itself was something else.
      summary.bad = !good || summary.origin.kind != Origin::Kind::Unknown;
      summary.origin = origin;
      changed = true;
      forget();
    }
    return changed;
  }

  std::optional<Origin> ofBranch(scf::IfOp branch, unsigned number) {
    Origin both;
    for (scf::YieldOp yield : {branch.thenYield(), branch.elseYield()}) {
      Value yielded = yield.getOperand(number);
      Origin way = find(yielded, yield->getParentRegion());
      if (way.kind == Origin::Kind::Unknown)
        continue;
      bool isOfWay = way.kind == Origin::Kind::Value &&
                     way.value.getParentRegion() == yield->getParentRegion();
      if (isOfWay || (both.kind != Origin::Kind::Unknown && !(both == way)))
        return std::nullopt;
      both = way;
    }
    return both;
  }

  std::optional<Origin> ofLoop(scf::WhileOp loop, unsigned number) {
    std::optional<unsigned> carried = carriedNumbers(loop)[number];
    if (!carried)
      return std::nullopt;
    Origin body = find(loop.getYieldOp().getOperand(*carried), &loop.getAfter());
    if (!(body == Origin::of(loop.getAfterArguments()[number])))
      return std::nullopt;
    return Origin::of(loop.getInits()[*carried]);
  }

  std::optional<Origin> ofCall(func::CallOp call, unsigned number) {
    auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
    auto found = summaries.find({callee, number});
    if (found == summaries.end() || found->second.bad)
      return std::nullopt;
    Origin origin = found->second.origin;
    if (origin.kind == Origin::Kind::Value)
      return Origin::of(call.getOperand(cast<BlockArgument>(origin.value).getArgNumber()));
    return origin;
  }

  // Where `value` may be of an outer region at once.
  Origin find(Value value, Region *region) {
    return value.getParentRegion() == region ? find(value) : Origin::of(value);
  }

  struct Summary {
    Origin origin;
    bool bad = false;
  };
  llvm::DenseMap<std::pair<Operation *, unsigned>, Summary> summaries;
  llvm::DenseMap<Value, Origin> traced;
};

//===- One sum -----------------------------------------------------------------------------===//

// All that one sum goes through, back from `end`: the last branch, loop or call on its way.
class DeferredSum {
public:
  DeferredSum(Origins &origins, OpResult end)
      : origins(origins), end(end), home(end.getOwner()->getParentOfType<func::FuncOp>()) {}

  // Whether there are products to take out, and nobody sees the sum while it grows.
  bool collect() {
    follow(end, end.getParentRegion());
    bool isWorthIt = repeats && !(sums.empty() && starts.empty());
    return isWorthIt && isSeenByNobody() && hasItsFunctionsAlone();
  }
  bool goesThrough(Value value) const { return members.contains(value); }

  // `rows`: a size that nothing else has.
  void defer(Dim rows);

private:
  void follow(Value value, Region *region);
  void followSum(Operation *sum, bool outermost);
  void followBranch(scf::IfOp branch, unsigned number);
  void followLoop(scf::WhileOp loop, unsigned number);
  void followCall(func::CallOp call, unsigned number);

  bool isSeenByNobody() const;
  bool hasItsFunctionsAlone() const;

  Value tapeFor(Operation *op);
  void push(OpBuilder &builder, Operation *at, const Product &product);
  Value productOfRows(OpBuilder &builder, Value tape, const Product &first, Dim rows) const;

  Origins &origins;
  OpResult end;
  func::FuncOp home;
  Value begin;                // what it starts with; null: zero
  Operation *first = nullptr; // branch, loop or call in the end's block
  bool repeats = false;       // by a loop or a call
  llvm::SetVector<Value> members;
  llvm::DenseSet<OpOperand *> uses; // of members, by which the sum goes on
  SmallVector<std::pair<Operation *, Product>> sums;
  SmallVector<std::pair<Value, Product>> starts; // it begins with the product itself
  llvm::SetVector<Operation *> calls;
  llvm::MapVector<func::FuncOp, llvm::SmallSetVector<unsigned, 1>> functions; // and their results
  llvm::DenseMap<Operation *, Value> tapes;                                   // by function
};

// Back to where the sum enters the region.
void DeferredSum::follow(Value value, Region *region) {
  bool outermost = region == end.getParentRegion();
  for (; value.getParentRegion() == region && !isa<BlockArgument>(value);) {
    if (isZero(value))
      return;
    std::optional<Product> product = productOf(value);
    std::optional<Origin> before = origins.step(value);
    if (!before || (product && outermost))
      break;
    members.insert(value);
    if (product) {
      starts.emplace_back(value, *product);
      return;
    }
    Operation *op = value.getDefiningOp();
    unsigned number = cast<OpResult>(value).getResultNumber();
    if (isSum(value))
      followSum(op, outermost);
    else if (auto branch = dyn_cast<scf::IfOp>(op))
      followBranch(branch, number);
    else if (auto loop = dyn_cast<scf::WhileOp>(op))
      followLoop(loop, number);
    else
      followCall(cast<func::CallOp>(op), number);
    if (outermost && !isa<bf::AtenOp>(op))
      first = op;
    if (before->kind != Origin::Kind::Value)
      return;
    value = before->value;
  }
  if (outermost)
    begin = value;
  else if (isa<BlockArgument>(value) && value.getParentRegion() == region)
    members.insert(value);
}

void DeferredSum::followSum(Operation *sum, bool outermost) {
  OpOperand &goesOn = origins.summand(sum);
  uses.insert(&goesOn);
  std::optional<Product> product = productOf(sum->getOperand(1 - goesOn.getOperandNumber()));
  if (product && !outermost)
    sums.emplace_back(sum, *product);
}

void DeferredSum::followBranch(scf::IfOp branch, unsigned number) {
  for (scf::YieldOp yield : {branch.thenYield(), branch.elseYield()}) {
    uses.insert(&yield->getOpOperand(number));
    follow(yield.getOperand(number), yield->getParentRegion());
  }
}

void DeferredSum::followLoop(scf::WhileOp loop, unsigned number) {
  unsigned carried = *carriedNumbers(loop)[number];
  repeats = true;
  members.insert(loop.getBeforeArguments()[carried]);
  uses.insert(&loop.getConditionOp()->getOpOperand(number + 1));
  uses.insert(&loop.getYieldOp()->getOpOperand(carried));
  uses.insert(&loop->getOpOperand(carried));
  follow(loop.getYieldOp().getOperand(carried), &loop.getAfter());
}

void DeferredSum::followCall(func::CallOp call, unsigned number) {
  auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
  calls.insert(call);
  repeats = true;
  Operation *back = endOf(callee);
  Origin inside = origins.find(back->getOperand(number));
  if (inside.kind == Origin::Kind::Value)
    uses.insert(&call->getOpOperand(cast<BlockArgument>(inside.value).getArgNumber()));
  if (!functions[callee].insert(number))
    return;
  uses.insert(&back->getOpOperand(number));
  follow(back->getOperand(number), &callee.getBody());
}

// Each member goes on in one way, or in one on each way of a branch.
bool DeferredSum::isSeenByNobody() const {
  for (Value member : members) {
    if (member == end)
      continue;
    llvm::SmallDenseSet<Region *> ways;
    for (OpOperand &use : member.getUses()) {
      if (!uses.contains(&use))
        return false;
      Region *way = use.getOwner()->getParentRegion();
      while (way != member.getParentRegion() && way->getParentRegion() != member.getParentRegion())
        way = way->getParentRegion();
      if (!ways.insert(way).second)
        return false;
    }
    if (ways.size() > 1 && (ways.contains(member.getParentRegion()) ||
                            (*ways.begin())->getParentOp() != (*++ways.begin())->getParentOp()))
      return false;
  }
  return true;
}

// The functions that it goes through are called for it and for nothing else.
bool DeferredSum::hasItsFunctionsAlone() const {
  for (auto [function, results] : functions) {
    if (function == home || !function.isPrivate() || results.size() != 1)
      return false;
    std::optional<SymbolTable::UseRange> users =
        SymbolTable::getSymbolUses(function, function->getParentOfType<ModuleOp>());
    if (!users || !llvm::all_of(*users, [&](const SymbolTable::SymbolUse &user) {
          return calls.contains(user.getUser());
        }))
      return false;
  }
  return true;
}

Value DeferredSum::tapeFor(Operation *op) { return tapes.at(op->getParentOfType<func::FuncOp>()); }

void DeferredSum::push(OpBuilder &builder, Operation *at, const Product &product) {
  bf::PushOp::create(builder, at->getLoc(), tapeFor(at), ValueRange{product.left, product.right});
}

Value DeferredSum::productOfRows(OpBuilder &builder, Value tape, const Product &some,
                                 Dim rows) const {
  Location loc = end.getLoc();
  auto typeOfRows = [&](Value pushed) {
    TensorType type = valueTypeOf(pushed.getType()).tensor;
    type.dims[0] = rows;
    return type;
  };
  TensorType left = typeOfRows(some.left), right = typeOfRows(some.right), transposed = left;
  std::swap(transposed.dims[0], transposed.dims[1]);
  MLIRContext *context = builder.getContext();
  auto popped = bf::PopRowsOp::create(
      builder, loc, TypeRange{mlirTypeOf(context, left), mlirTypeOf(context, right)}, tape);
  AtenArg operands[] = {{AtenArg::Operand{0}}, {AtenArg::Operand{1}}};
  Value turned = createAten(builder, loc, "aten::t", {operands[0]}, popped.getRows()[0],
                            mlirTypeOf(context, transposed))
                     ->getResult(0);
  return createAten(builder, loc, "aten::mm", operands, ValueRange{turned, popped.getRows()[1]},
                    end.getType())
      ->getResult(0);
}

void DeferredSum::defer(Dim rows) {
  OpBuilder builder(first);
  Type tapeType = bf::TapeType::get(builder.getContext());
  Product some = sums.empty() ? starts.front().second : sums.front().second;
  Value tape = tapes[home] = bf::TapeOp::create(builder, end.getLoc(), tapeType);
  for (auto &[function, results] : functions) {
    unsigned number = function.getNumArguments();
    (void)function.insertArgument(number, tapeType, {}, function.getLoc());
    tapes[function] = function.getArgument(number);
  }
  for (Operation *call : calls)
    call->insertOperands(call->getNumOperands(), tapeFor(call));

  for (auto &[value, product] : starts) {
    builder.setInsertionPointAfter(value.getDefiningOp());
    push(builder, value.getDefiningOp(), product);
    value.replaceAllUsesWith(
        createZeros(builder, value.getLoc(), cast<RankedTensorType>(value.getType())));
  }
  for (auto &[sum, product] : sums) {
    builder.setInsertionPoint(sum);
    push(builder, sum, product);
    sum->getResult(0).replaceAllUsesWith(origins.summand(sum).get());
  }

  builder.setInsertionPointAfter(end.getOwner());
  Value total = productOfRows(builder, tape, some, rows);
  if (!begin) {
    end.replaceAllUsesWith(total);
    return;
  }
  AtenArg args[] = {{AtenArg::Operand{0}}, {AtenArg::Operand{1}}, {int64_t{1}}};
  bf::AtenOp sum = createAten(builder, end.getLoc(), "aten::add.Tensor", args,
                              ValueRange{end, total}, end.getType());
  end.replaceAllUsesExcept(sum->getResult(0), sum);
}

//===- All sums ----------------------------------------------------------------------------===//

// Sizes that nothing in the module has, in pairs.
class UnusedSizes {
public:
  explicit UnusedSizes(ModuleOp module) {
    auto note = [&](Type type) {
      auto tensor = dyn_cast<RankedTensorType>(type); // perhaps of a dtype that graphs do not have
      if (!tensor)
        return;
      for (int64_t size : tensor.getShape())
        largest = std::max(largest, size);
      if (auto encoding = dyn_cast_or_null<bf::TensorEncodingAttr>(tensor.getEncoding()))
        for (int64_t size : encoding.getWorlds())
          largest = std::max(largest, size);
    };
    module.walk([&](Operation *op) { llvm::for_each(op->getResultTypes(), note); });
    module.walk([&](Block *block) { llvm::for_each(block->getArgumentTypes(), note); });
  }
  Dim next() {
    largest += 2;
    return {{largest - 1, largest}};
  }

private:
  int64_t largest = 0;
};

// What a sum may end as: outer regions first, and what is behind in one first.
void findEnds(Region &region, SmallVectorImpl<OpResult> &ends) {
  if (region.empty())
    return;
  for (Operation &op : llvm::reverse(region.front()))
    if (isa<scf::IfOp, scf::WhileOp, func::CallOp>(op))
      for (OpResult result : op.getResults())
        if (isLarge(result.getType()))
          ends.push_back(result);
  for (Operation &op : region.front())
    if (isa<scf::IfOp, scf::WhileOp>(op))
      for (Region &inner : op.getRegions())
        findEnds(inner, ends);
}

class DeferProductsPass : public PassWrapper<DeferProductsPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(DeferProductsPass)
  StringRef getArgument() const final { return "bf-defer-products"; }
  StringRef getDescription() const final { return "One product in place of a sum of many"; }
  void runOnOperation() final { deferProducts(getOperation()); }
};

} // namespace

void deferProducts(ModuleOp module) {
  Origins origins(module);
  UnusedSizes sizes(module);
  SmallVector<OpResult> ends;
  for (bool isPrivate : {false, true})
    for (auto function : module.getOps<func::FuncOp>())
      if (function.isPrivate() == isPrivate)
        findEnds(function.getBody(), ends);
  llvm::DenseSet<Value> done;
  for (OpResult end : ends) {
    if (done.contains(end))
      continue;
    DeferredSum sum(origins, end);
    if (!sum.collect())
      continue;
    for (OpResult other : ends)
      if (sum.goesThrough(other))
        done.insert(other);
    sum.defer(sizes.next());
    origins.forget();
  }
}

std::unique_ptr<Pass> createDeferProductsPass() { return std::make_unique<DeferProductsPass>(); }

} // namespace bifront
