#include "passes/cut_unread_carries.h"

#include "ir/bf_dialect.h"
#include "passes/region_values.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace bifront {
namespace {

// The values that an effect, a condition or the function's end needs.
class NeededValues {
public:
  explicit NeededValues(func::FuncOp function) {
    function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      visit(op);
      return isa<bf::PointwiseOp>(op) ? WalkResult::skip() : WalkResult::advance();
    });
    while (!work.empty())
      trace(work.pop_back_val());
  }
  bool contains(Value value) const { return needed.contains(value); }

private:
  void need(Value value) {
    if (needed.insert(value).second)
      work.push_back(value);
  }

  void visit(Operation *op) {
    if (auto branch = dyn_cast<scf::IfOp>(op))
      need(branch.getCondition());
    else if (auto end = dyn_cast<scf::ConditionOp>(op))
      need(end.getCondition());
    else if (isa<scf::WhileOp, scf::YieldOp>(op))
      return; // what they hand on is needed where it arrives
    else if (isa<func::ReturnOp>(op) || !isMemoryEffectFree(op))
      llvm::for_each(op->getOperands(), [&](Value operand) { need(operand); });
  }

  void trace(Value value) {
    SmallVector<Value> sources = sourcesOf(value);
    llvm::for_each(sources, [&](Value source) { need(source); });
    Operation *op = value.getDefiningOp();
    if (op && !isa<scf::IfOp, scf::WhileOp>(op))
      llvm::for_each(op->getOperands(), [&](Value operand) { need(operand); });
  }

  llvm::DenseSet<Value> needed;
  SmallVector<Value> work;
};

} // namespace

void cutUnreadCarries(func::FuncOp function) {
  NeededValues needed(function);
  function.walk([&](scf::WhileOp loop) {
    for (auto [argument, init, next] : llvm::zip_equal(loop.getBeforeArguments(), loop.getInits(),
                                                       loop.getYieldOp()->getOpOperands()))
      if (!needed.contains(argument))
        next.set(init);
  });
}

} // namespace bifront
