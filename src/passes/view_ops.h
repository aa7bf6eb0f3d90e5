// Views as functions: taking a view of new contents, and putting new contents of a view into its
// base.
#pragma once

#include "ir/aten_op.h"

#include "mlir/IR/Builders.h"

namespace bifront {

// The same view of `base` as result `result` of `view` is of its first operand.
mlir::Value takeView(mlir::OpBuilder &builder, bf::AtenOp view, unsigned result, mlir::Value base);

// `base` with `contents` where the view has its elements; null where that is not known to be
// sayable.
mlir::Value putView(mlir::OpBuilder &builder, bf::AtenOp view, unsigned result, mlir::Value base,
                    mlir::Value contents);

// aten::reshape to the sizes of `like`, of which a type and its dynamic sizes are taken.
mlir::Value reshapeLike(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                        mlir::Value like);

} // namespace bifront
