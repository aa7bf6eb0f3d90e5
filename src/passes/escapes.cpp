#include "passes/escapes.h"

#include "ir/aten_op.h"
#include "passes/region_values.h"
#include "passes/separate_results.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bifront {
namespace {

bool isTensor(Value value) { return isa<RankedTensorType>(value.getType()); }

bool escapes(Value value, llvm::DenseSet<Value> &seen) {
  if (!isTensor(value) || !seen.insert(value).second)
    return false;
  auto anyEscapes = [&](ValueRange values) {
    return llvm::any_of(values, [&](Value other) { return escapes(other, seen); });
  };
  for (OpOperand &use : value.getUses()) {
    Operation *user = use.getOwner();
    // What is on a tape may be popped anywhere.
    if (isa<func::ReturnOp, bf::PushOp>(user))
      return true;
    if (auto store = dyn_cast<bf::StoreAttrOp>(user); store && store.getValue() == value)
      return true;
    auto call = dyn_cast<bf::AtenOp>(user);
    bool isViewed = call && isView(call) && call->getOperand(0) == value;
    bool mayComeBack = isViewed || isa<func::CallOp>(user);
    if (anyEscapes(receiversOf(use)) || (mayComeBack && anyEscapes(user->getResults())))
      return true;
  }
  return false;
}

// From what escapes back to where it comes from.
class KeptApart {
public:
  explicit KeptApart(func::FuncOp function) {
    function.walk([&](Operation *op) {
      if (isa<func::ReturnOp>(op))
        leave(op, 0);
      else if (isa<bf::StoreAttrOp>(op))
        leave(op, 1);
    });
    while (!work.empty()) {
      auto [value, isDecided] = work.pop_back_val();
      trace(value, isDecided);
    }
  }
  SmallVector<Operation *> ops() { return found.takeVector(); }

private:
  void leave(Operation *op, unsigned first) {
    auto objects = op->getAttrOfType<DenseI32ArrayAttr>(kObjectsAttr);
    for (unsigned i = first; i < op->getNumOperands(); ++i) {
      bool isUnknown =
          objects && i - first < objects.size() && objects[i - first] == kUnknownTensor;
      add(op->getOperand(i), isUnknown);
    }
  }

  // `isDecided`: by a branch, a loop or a function.
  void add(Value value, bool isDecided) {
    if (isTensor(value) && seen[isDecided].insert(value).second)
      work.emplace_back(value, isDecided);
  }

  void trace(Value value, bool isDecided) {
    SmallVector<Value> sources = sourcesOf(value);
    Operation *op = value.getDefiningOp();
    if (!sources.empty()) {
      found.insert(op ? op : value.getParentBlock()->getParentOp());
      for (Value source : sources)
        add(source, true);
    } else if (isa_and_nonnull<func::CallOp>(op)) {
      for (Value operand : op->getOperands())
        add(operand, true);
    } else if (op) {
      if (isDecided)
        found.insert(op);
      auto call = dyn_cast<bf::AtenOp>(op);
      if (call && !call.getInputs().empty() && isView(call))
        add(call.getInputs()[0], isDecided);
    }
  }

  SmallVector<std::pair<Value, bool>> work;
  llvm::DenseSet<Value> seen[2];
  llvm::SmallSetVector<Operation *, 8> found;
};

} // namespace

bool escapes(Value value) {
  llvm::DenseSet<Value> seen;
  return escapes(value, seen);
}

bool isView(bf::AtenOp call) {
  return opRow(call.getSchema()).kind == OpKind::View || !aliasedResults(call).empty();
}

Value viewedValue(Value value) {
  while (auto call = value.getDefiningOp<bf::AtenOp>()) {
    if (call.getInputs().empty() || !isView(call))
      break;
    value = call.getInputs()[0];
  }
  return value;
}

SmallVector<Operation *> opsToKeepApart(func::FuncOp function) { return KeptApart(function).ops(); }

} // namespace bifront
