#include "ir/arithmetic.h"

#include "ir/bf_dialect.h"

namespace bifront {

bool isArithmetic(mlir::Operation *op) {
  llvm::StringRef dialect = op->getName().getDialectNamespace();
  return dialect == "arith" || dialect == "math" || mlir::isa<bf::DimOp, bf::SizeOp>(op);
}

} // namespace bifront
