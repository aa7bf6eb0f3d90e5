#include "passes/carry_writes.h"

#include "passes/region_values.h"
#include "passes/tensor_memory.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace bifront {

static void returnToo(func::FuncOp function, ArrayRef<unsigned> arguments) {
  if (function.isDeclaration())
    return;
  Operation *end = function.getBody().front().getTerminator();
  SmallVector<Type> results(function.getResultTypes());
  for (unsigned number : arguments) {
    Value argument = function.getArgument(number);
    end->insertOperands(end->getNumOperands(), argument);
    results.push_back(argument.getType());
  }
  function.setType(FunctionType::get(function.getContext(), function.getArgumentTypes(), results));
}

static void receiveToo(func::CallOp call, ArrayRef<unsigned> arguments) {
  if (arguments.empty())
    return;
  OpBuilder builder(call);
  SmallVector<Type> types(call.getResultTypes());
  for (unsigned number : arguments)
    types.push_back(call.getOperand(number).getType());
  auto made =
      func::CallOp::create(builder, call.getLoc(), call.getCallee(), types, call.getOperands());
  made->setDiscardableAttrs(call->getDiscardableAttrDictionary());
  call->replaceAllUsesWith(made->getResults().take_front(call.getNumResults()));
  call.erase();
}

static void returnWrites(ModuleOp module) {
  TensorMemory memory(module);
  SmallVector<func::CallOp> calls;
  module.walk([&](func::CallOp call) { calls.push_back(call); });
  llvm::SmallSetVector<Operation *, 8> callees;
  for (func::CallOp call : calls)
    if (func::FuncOp callee = memory.calleeOf(call)) {
      callees.insert(callee);
      receiveToo(call, memory.writtenArguments(callee));
    }
  for (Operation *callee : callees)
    returnToo(cast<func::FuncOp>(callee), memory.writtenArguments(cast<func::FuncOp>(callee)));
}

void carryWrites(ModuleOp module) {
  returnWrites(module);
  TensorMemory memory(module);
  module.walk([&](Operation *op) {
    if (auto branch = dyn_cast<scf::IfOp>(op))
      handOnToo(branch, memory.writtenInside(op));
    else if (auto loop = dyn_cast<scf::WhileOp>(op))
      handOnToo(loop, memory.writtenInside(op));
  });
  // Behind all questions, for it replaces the results, which are names.
  module.walk([&](Operation *op) {
    if (auto branch = dyn_cast<scf::IfOp>(op))
      makeResults(branch);
    else if (auto loop = dyn_cast<scf::WhileOp>(op))
      makeResults(loop);
  });
}

} // namespace bifront
