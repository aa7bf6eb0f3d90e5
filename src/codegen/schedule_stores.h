// Puts what the outside sees at the end of a graph, and before it what only makes such values:
//
//   %w1 = bf.pointwise(%w, %g) ...            %y = bf.aten "aten::mm"(%x, %w)
//   bf.store %w1 to %w                        %w1 = bf.pointwise(%w, %g) ...
//   %y = bf.aten "aten::mm"(%x, %w)     =>    bf.store %w1 to %w
//   return %y                                 return %y
//
// So everything that may fail, or needs old contents, comes before: then new contents can be
// computed in place. Tested by test/codegen/schedule_stores.mlir.
#pragma once

#include "mlir/IR/Block.h"

namespace bifront {

void scheduleStores(mlir::Block &block);

} // namespace bifront
