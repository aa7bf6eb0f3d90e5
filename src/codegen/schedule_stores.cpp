#include "codegen/schedule_stores.h"

#include "ir/bf_dialect.h"

#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace bifront {

void scheduleStores(Block &block) {
  SmallVector<Operation *> stores, updates;
  llvm::DenseSet<Operation *> sunk;
  for (Operation &op : llvm::reverse(block)) {
    if (isa<bf::StoreOp, bf::StoreAttrOp>(op)) {
      stores.push_back(&op);
      continue;
    }
    bool onlyMakesContents = isa<bf::PointwiseOp>(op) && !op.use_empty() &&
                             llvm::all_of(op.getUsers(), [&](Operation *user) {
                               return isa<bf::StoreOp>(user) || sunk.contains(user);
                             });
    if (onlyMakesContents) {
      sunk.insert(&op);
      updates.push_back(&op);
    }
  }
  Operation *terminator = block.getTerminator();
  for (Operation *op : llvm::reverse(updates))
    op->moveBefore(terminator);
  for (Operation *op : llvm::reverse(stores))
    op->moveBefore(terminator);
}

} // namespace bifront
