#include "passes/autodiff_worlds.h"

#include "ir/aten_op.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/OpDefinition.h"

namespace bifront {

std::optional<Dim> WorldInts::of(mlir::Value value) {
  if (auto found = known.find(value); found != known.end())
    return found->second;
  std::optional<Dim> result = compute(value);
  known[value] = result;
  return result;
}

// Folds the op once per world, with that world's operands: every op that can fold constants is
// covered.
std::optional<Dim> WorldInts::compute(mlir::Value value) {
  mlir::Operation *op = value.getDefiningOp();
  if (!op || !value.getType().isSignlessInteger())
    return std::nullopt;
  if (auto dim = llvm::dyn_cast<bf::DimOp>(op)) {
    ValueType type = valueTypeOf(dim.getTensor().getType());
    return type.tensor.dims[dim.getIndex()];
  }
  if (auto size = llvm::dyn_cast<bf::SizeOp>(op))
    return Dim{{size.getWorlds()[0], size.getWorlds()[1]}};
  if (op->getNumResults() != 1 || op->getNumRegions() != 0 || llvm::isa<bf::AtenOp>(op))
    return std::nullopt;
  Dim result{};
  for (int world : {0, 1}) {
    llvm::SmallVector<mlir::Attribute> constants;
    for (mlir::Value operand : op->getOperands()) {
      std::optional<Dim> size = of(operand);
      if (!size)
        return std::nullopt;
      constants.push_back(mlir::IntegerAttr::get(operand.getType(), size->world[world]));
    }
    // A fold may change the op in place, so it works on a copy.
    mlir::Operation *copy = op->clone();
    llvm::SmallVector<mlir::OpFoldResult> folded;
    bool done = mlir::succeeded(copy->fold(constants, folded)) && folded.size() == 1;
    std::optional<int64_t> number;
    if (done) {
      if (auto attr = llvm::dyn_cast<mlir::Attribute>(folded.front()))
        if (auto integer = llvm::dyn_cast<mlir::IntegerAttr>(attr))
          number = integer.getType().isInteger(1) ? integer.getValue().getZExtValue() != 0
                                                  : integer.getInt();
      if (auto operand = llvm::dyn_cast<mlir::Value>(folded.front()))
        if (std::optional<Dim> size = of(operand))
          number = size->world[world];
    }
    copy->erase();
    if (!number)
      return std::nullopt;
    result.world[world] = *number;
  }
  return result;
}

} // namespace bifront
