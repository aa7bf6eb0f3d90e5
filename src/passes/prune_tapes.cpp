#include "passes/prune_tapes.h"

#include "ir/bf_dialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace bifront {
namespace {

struct Site {
  SmallVector<bf::PushOp> pushes;
  SmallVector<bf::PopOp> pops;

  unsigned size() { return pops.front().getNumResults(); }
  bool isWhole() {
    return !pushes.empty() && !pops.empty() &&
           llvm::all_of(pushes, [&](bf::PushOp op) { return op.getValues().size() == size(); }) &&
           llvm::all_of(pops, [&](bf::PopOp op) { return op.getNumResults() == size(); });
  }
};

class Pruning {
public:
  explicit Pruning(Site &site, DominanceInfo &dominance) : site(site), dominance(dominance) {}

  void run() {
    unsigned size = site.size();
    llvm::BitVector dropped(size);
    for (unsigned number = 0; number < size; ++number)
      if (isUnused(number) || isSeenBehind(number) || isConstant(number) || isPushedTwice(number))
        dropped.set(number);
    if (dropped.any())
      drop(dropped);
  }

private:
  bool isUnused(unsigned number) {
    return llvm::all_of(site.pops, [&](bf::PopOp op) { return op.getResult(number).use_empty(); });
  }

  // One value, which the backward block can read itself.
  bool isSeenBehind(unsigned number) {
    Value pushed = site.pushes.front().getValues()[number];
    for (bf::PushOp op : site.pushes)
      if (op.getValues()[number] != pushed)
        return false;
    for (bf::PopOp op : site.pops)
      if (!dominance.properlyDominates(pushed, op))
        return false;
    for (bf::PopOp op : site.pops)
      op.getResult(number).replaceAllUsesWith(pushed);
    return true;
  }

  bool isConstant(unsigned number) {
    Attribute constant;
    for (bf::PushOp op : site.pushes) {
      Attribute other;
      if (!matchPattern(op.getValues()[number], m_Constant(&other)) ||
          (constant && other != constant))
        return false;
      constant = other;
    }
    Operation *made = site.pushes.front().getValues()[number].getDefiningOp();
    for (bf::PopOp op : site.pops) {
      OpBuilder behind(op->getContext());
      behind.setInsertionPointAfter(op);
      op.getResult(number).replaceAllUsesWith(behind.clone(*made)->getResult(0));
    }
    return true;
  }

  bool isPushedTwice(unsigned number) {
    for (unsigned first = 0; first < number; ++first) {
      bool same = llvm::all_of(site.pushes, [&](bf::PushOp op) {
        return op.getValues()[first] == op.getValues()[number];
      });
      if (!same)
        continue;
      for (bf::PopOp op : site.pops)
        op.getResult(number).replaceAllUsesWith(op.getResult(first));
      return true;
    }
    return false;
  }

  // Without any values they need not be there at all.
  void drop(const llvm::BitVector &dropped) {
    llvm::BitVector operands(dropped.size() + 1);
    for (unsigned number : dropped.set_bits())
      operands.set(number + 1);
    for (bf::PushOp op : site.pushes)
      if (dropped.all())
        op.erase();
      else
        op->eraseOperands(operands);
    for (bf::PopOp op : site.pops) {
      SmallVector<Value> kept;
      for (OpResult result : op.getResults())
        if (!dropped.test(result.getResultNumber()))
          kept.push_back(result);
      if (!kept.empty()) {
        OpBuilder builder(op);
        auto made = bf::PopOp::create(builder, op.getLoc(), TypeRange(ValueRange(kept)),
                                      op.getTape());
        made->setDiscardableAttrs(op->getDiscardableAttrDictionary());
        for (auto [before, now] : llvm::zip_equal(kept, made.getResults()))
          before.replaceAllUsesWith(now);
      }
      op.erase();
    }
  }

  Site &site;
  DominanceInfo &dominance;
};

class PruneTapesPass : public PassWrapper<PruneTapesPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PruneTapesPass)
  StringRef getArgument() const final { return "bf-prune-tapes"; }
  StringRef getDescription() const final { return "Push only what is needed behind"; }
  void runOnOperation() final { pruneTapes(getOperation()); }
};

} // namespace

void pruneTapes(ModuleOp module) {
  llvm::MapVector<int64_t, Site> sites;
  module.walk([&](Operation *op) {
    auto number = op->getAttrOfType<IntegerAttr>(kTapeSiteAttr);
    if (!number)
      return;
    if (auto push = dyn_cast<bf::PushOp>(op))
      sites[number.getInt()].pushes.push_back(push);
    else if (auto pop = dyn_cast<bf::PopOp>(op))
      sites[number.getInt()].pops.push_back(pop);
  });
  DominanceInfo dominance(module);
  for (auto &[number, site] : sites)
    if (site.isWhole())
      Pruning(site, dominance).run();
}

std::unique_ptr<Pass> createPruneTapesPass() { return std::make_unique<PruneTapesPass>(); }

} // namespace bifront
