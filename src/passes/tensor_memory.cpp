#include "passes/tensor_memory.h"

#include "ir/aten_op.h"
#include "passes/region_values.h"

using namespace mlir;

namespace bifront {

static bool isTensor(Value value) { return isa<RankedTensorType>(value.getType()); }

static bool isArgumentOf(func::FuncOp function, Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && argument.getOwner() == &function.getBody().front();
}

TensorMemory::TensorMemory(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    functions[function.getSymNameAttr()] = function;
  findViews(module);
  findOrigins(module);
  findWrittenArguments();
}

//===- Views -------------------------------------------------------------------------------===//

void TensorMemory::findViews(ModuleOp module) {
  module.walk([&](bf::AtenOp op) {
    if (!writtenOperands(op).empty())
      return;
    for (auto [result, operand] : aliasedResults(op))
      if (isTensor(op.getResult(result)))
        views[op.getResult(result)] = {op.getInputs()[operand], op, result};
  });
}

const TensorMemory::View *TensorMemory::viewOf(Value tensor) const {
  auto view = views.find(tensor);
  return view == views.end() ? nullptr : &view->second;
}

Value TensorMemory::baseOf(Value tensor) const {
  while (const View *view = viewOf(tensor))
    tensor = view->parent;
  return tensor;
}

//===- What is handed on -------------------------------------------------------------------===//

TensorMemory::Tensors TensorMemory::originsOf(Value base) const {
  if (auto known = origins.find(base); known != origins.end())
    return known->second;
  Tensors itself;
  itself.insert(base);
  return itself;
}

bool TensorMemory::isOneTensor(Value base) const {
  Tensors known = originsOf(base);
  return known.size() == 1 && known[0] == base;
}

static Operation *terminatorOf(func::FuncOp function) {
  return function.getBody().front().getTerminator();
}

// Operands of the call where the callee hands on its arguments. For tensors that the callee makes
// stands the first result that they may be.
TensorMemory::Tensors TensorMemory::originsOfCall(OpResult result) const {
  auto call = cast<func::CallOp>(result.getOwner());
  func::FuncOp callee = calleeOf(call);
  Tensors found;
  if (!callee || callee.isDeclaration()) {
    found.insert(result);
    return found;
  }
  auto returned = terminatorOf(callee)->getOperands();
  auto mayBe = [&](unsigned number, Value origin) {
    return isTensor(returned[number]) && originsOf(baseOf(returned[number])).contains(origin);
  };
  for (Value origin : originsOf(baseOf(returned[result.getResultNumber()]))) {
    if (isArgumentOf(callee, origin)) {
      unsigned number = cast<BlockArgument>(origin).getArgNumber();
      found.insert_range(originsOf(baseOf(call.getOperand(number))));
      continue;
    }
    unsigned number = 0;
    while (!mayBe(number, origin))
      ++number;
    found.insert(call.getResult(number));
  }
  return found;
}

bool TensorMemory::grow(Value handedOn) {
  Tensors all = origins.lookup(handedOn);
  size_t before = all.size();
  if (handedOn.getDefiningOp<func::CallOp>())
    all.insert_range(originsOfCall(cast<OpResult>(handedOn)));
  else
    for (Value source : sourcesOf(handedOn))
      all.insert_range(originsOf(baseOf(source)));
  bool grows = all.size() != before;
  origins[handedOn] = std::move(all);
  return grows;
}

void TensorMemory::findOrigins(ModuleOp module) {
  SmallVector<Value> handedOn;
  auto consider = [&](Value value) {
    if (isTensor(value) && (value.getDefiningOp<func::CallOp>() || !sourcesOf(value).empty()))
      handedOn.push_back(value);
  };
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    for (Region &region : op->getRegions())
      for (Block &block : region)
        llvm::for_each(block.getArguments(), consider);
    llvm::for_each(op->getResults(), consider);
  });
  for (Value value : handedOn)
    origins[value];
  bool changes = true;
  while (std::exchange(changes, false))
    for (Value value : handedOn)
      changes |= grow(value);
}

//===- Writes ------------------------------------------------------------------------------===//

SmallVector<Value> TensorMemory::writtenBy(Operation *op) const {
  SmallVector<Value> found;
  if (auto call = dyn_cast<bf::AtenOp>(op)) {
    for (uint32_t operand : writtenOperands(call))
      found.push_back(call.getInputs()[operand]);
  } else if (auto store = dyn_cast<bf::StoreOp>(op)) {
    found.push_back(store.getTarget());
  } else if (auto call = dyn_cast<func::CallOp>(op)) {
    if (func::FuncOp callee = calleeOf(call))
      for (unsigned number : writtenArguments(callee))
        found.push_back(call.getOperand(number));
  }
  return found;
}

SmallVector<Value> TensorMemory::writtenInside(Operation *op) const {
  llvm::SmallSetVector<Value, 8> found;
  op->walk<WalkOrder::PreOrder>([&](Operation *inner) {
    if (inner == op)
      return;
    for (Value tensor : writtenBy(inner)) {
      Value base = baseOf(tensor);
      if (base.getParentRegion()->isAncestor(op->getParentRegion()))
        found.insert(base);
    }
  });
  return found.takeVector();
}

ArrayRef<unsigned> TensorMemory::writtenArguments(func::FuncOp function) const {
  auto known = written.find(function);
  return known == written.end() ? ArrayRef<unsigned>() : ArrayRef<unsigned>(known->second);
}

void TensorMemory::findWrittenArguments() {
  bool changes = true;
  while (std::exchange(changes, false))
    for (auto &[name, callable] : functions) {
      func::FuncOp function = callable;
      if (function.isDeclaration())
        continue;
      SmallVector<unsigned> numbers;
      function.walk([&](Operation *op) {
        for (Value tensor : writtenBy(op))
          if (Value base = baseOf(tensor); isArgumentOf(function, base))
            numbers.push_back(cast<BlockArgument>(base).getArgNumber());
      });
      llvm::sort(numbers);
      numbers.erase(llvm::unique(numbers), numbers.end());
      SmallVector<unsigned> &known = written[function];
      changes |= known != numbers;
      known = std::move(numbers);
    }
}

} // namespace bifront
