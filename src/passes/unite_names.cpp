#include "passes/unite_names.h"

#include "ir/aten_op.h"
#include "passes/region_values.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace bifront {
namespace {

// An optimistic analysis: what is handed on is taken to be one tensor until two are seen.
class NameUnion {
public:
  explicit NameUnion(ModuleOp module) : module(module) {
    for (auto function : module.getOps<func::FuncOp>())
      functions[function.getSymNameAttr()] = function;
    module.walk([&](bf::AtenOp op) { findWritten(op); });
  }

  void run() {
    do {
      changed = false;
      for (auto &named : functions)
        if (!named.second.isDeclaration())
          visit(named.second.getBody().front());
    } while (changed);
    for (auto [name, other] : first)
      if (name != other)
        name.replaceAllUsesWith(other);
    for (auto [result, operand] : written)
      if (Value name = nameOf(operand); name && name.getType() == result.getType())
        result.replaceAllUsesWith(name);
  }

private:
  // The name to use; null while nothing is known of the value.
  Value nameOf(Value value) const {
    if (!isa<RankedTensorType>(value.getType()))
      return value;
    if (auto known = first.find(value); known != first.end())
      return known->second;
    if (auto operand = written.find(value); operand != written.end())
      return nameOf(operand->second);
    return isMerge(value) ? Value() : value;
  }

  static bool isMerge(Value value) {
    return value.getDefiningOp<func::CallOp>() || !sourcesOf(value).empty();
  }

  void set(Value value, Value name) {
    if (!name || name.getType() != value.getType())
      name = value;
    Value &known = first[value];
    if (known == name || known == value)
      return;
    known = name;
    changed = true;
  }

  // All sources that are known are one tensor, which `value` sees.
  void merge(Value value) {
    if (!isa<RankedTensorType>(value.getType()))
      return;
    Value name;
    for (Value source : sourcesOf(value)) {
      Value other = nameOf(source);
      if (other && name && other != name)
        return set(value, value);
      name = other ? other : name;
    }
    if (!name)
      return;
    Operation *op = value.getDefiningOp() ? value.getDefiningOp()
                                          : cast<BlockArgument>(value).getOwner()->getParentOp();
    set(value, name.getParentRegion()->isAncestor(op->getParentRegion()) ? name : value);
  }

  // Results that are what the call writes.
  void findWritten(bf::AtenOp op) {
    std::vector<uint32_t> operands = writtenOperands(op);
    for (auto [result, operand] : aliasedResults(op))
      if (llvm::is_contained(operands, operand) &&
          op.getResult(result).getType() == op.getInputs()[operand].getType())
        written[op.getResult(result)] = op.getInputs()[operand];
  }

  void visit(Block &block) {
    for (Operation &op : block)
      visit(op);
  }

  void visit(Operation &op) {
    if (auto call = dyn_cast<func::CallOp>(op))
      return visitFunctionCall(call);
    if (auto end = dyn_cast<func::ReturnOp>(op))
      return visitReturn(end);
    for (Region &region : op.getRegions()) {
      if (region.empty() || isa<bf::PointwiseOp>(op))
        continue;
      for (BlockArgument argument : region.front().getArguments())
        merge(argument);
      visit(region.front());
    }
    for (Value result : op.getResults())
      merge(result);
  }

  void visitFunctionCall(func::CallOp op) {
    func::FuncOp callee = functions.lookup(op.getCalleeAttr().getAttr());
    for (OpResult result : op.getResults()) {
      if (!isa<RankedTensorType>(result.getType()))
        continue;
      auto known = returned.find({callee, result.getResultNumber()});
      if (!callee || callee.isDeclaration())
        set(result, result);
      else if (known != returned.end())
        set(result, known->second ? nameOf(op.getOperand(*known->second)) : Value());
    }
  }

  void visitReturn(func::ReturnOp op) {
    auto function = op->getParentOfType<func::FuncOp>();
    for (OpOperand &operand : op->getOpOperands()) {
      Value name = nameOf(operand.get());
      if (!name)
        continue;
      std::optional<unsigned> argument;
      if (auto block = dyn_cast<BlockArgument>(name);
          block && block.getOwner() == &function.getBody().front())
        argument = block.getArgNumber();
      auto [known, isNew] = returned.try_emplace({function, operand.getOperandNumber()}, argument);
      if (isNew || (known->second && known->second != argument)) {
        known->second = isNew ? argument : std::nullopt;
        changed = true;
      }
    }
  }

  ModuleOp module;
  llvm::MapVector<StringAttr, func::FuncOp> functions;
  DenseMap<Value, Value> first;
  llvm::MapVector<Value, Value> written; // a call's result and what it is
  // The argument that a function returns as one of its results.
  DenseMap<std::pair<Operation *, unsigned>, std::optional<unsigned>> returned;
  bool changed = false;
};

} // namespace

void uniteNames(ModuleOp module) {
  NameUnion(module).run();
  module.walk([](Operation *op) {
    if (auto branch = dyn_cast<scf::IfOp>(op))
      dropUnusedTensors(branch);
    else if (auto loop = dyn_cast<scf::WhileOp>(op))
      dropUnusedTensors(loop);
  });
}

} // namespace bifront
