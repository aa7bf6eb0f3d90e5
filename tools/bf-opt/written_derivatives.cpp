#include "written_derivatives.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <stdexcept>

using namespace mlir;

namespace bifront {

// Only the gradients that are asked for are returned.
static std::vector<uint32_t> selectGradients(func::FuncOp function,
                                             const DerivativeRequest &request) {
  Operation *end = function.getBody().front().getTerminator();
  unsigned own = request.seeded.size(), operands = request.operands.size();
  if (end->getNumOperands() != own + operands)
    throw std::runtime_error("its derivative returns another number of values");
  std::vector<uint32_t> selected;
  llvm::BitVector dropped(end->getNumOperands());
  for (uint32_t k = 0; k < operands; ++k)
    if (request.differentiable[k])
      selected.push_back(k);
    else
      dropped.set(own + k);
  end->eraseOperands(dropped);
  function.setType(FunctionType::get(function.getContext(), function.getArgumentTypes(),
                                     end->getOperandTypes()));
  return selected;
}

Derivative WrittenDerivatives::derive(MLIRContext &context, const DerivativeRequest &request) {
  auto parsed = parseSourceFile<ModuleOp>(file, &context);
  if (!parsed)
    throw std::runtime_error("--derivatives names no module");
  auto function = parsed->lookupSymbol<func::FuncOp>(request.call.schema);
  if (!function)
    throw std::runtime_error("--derivatives has none");
  Derivative derivative;
  derivative.gradientOf = selectGradients(function, request);
  OwningOpRef<ModuleOp> module = ModuleOp::create(function.getLoc());
  module->push_back(function.clone());
  derivative.module = std::shared_ptr<ModuleOp>(new ModuleOp(module.release()), [](ModuleOp *held) {
    held->erase();
    delete held;
  });
  return derivative;
}

} // namespace bifront
