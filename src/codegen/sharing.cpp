#include "codegen/sharing.h"

#include "ir/aten_op.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace bifront {

CallSharing sharingOf(bf::AtenOp op) {
  CallSharing sharing;
  unsigned own = op.getNumOwnResults();
  ArrayRef<int32_t> written = op.getWrittenOperands();
  OpKind kind = opRow(op.getSchema()).kind;
  auto isTensor = [](Value value) { return isa<RankedTensorType>(value.getType()); };
  sharing.fresh.assign(op.getNumResults(), true);
  auto share = [&](unsigned result, uint32_t operand) {
    sharing.fresh[result] = false;
    // What the call writes is a copy, which comes back as a result of its own.
    const int32_t *copy = llvm::find(written, static_cast<int32_t>(operand));
    if (copy != written.end())
      sharing.withResult.emplace_back(result, own + (copy - written.begin()));
    else
      sharing.withOperand.emplace_back(result, operand);
  };
  for (auto [result, operand] : aliasedResults(op))
    share(result, operand);
  bool knowsNothing = kind == OpKind::Opaque || !lookupSchema(op.getSchema());
  for (unsigned result = 0; result < own; ++result) {
    if (!isTensor(op.getResult(result)))
      continue;
    for (uint32_t operand = 0; operand < op.getInputs().size(); ++operand) {
      if (!isTensor(op.getInputs()[operand]))
        continue;
      if (knowsNothing)
        share(result, operand);
      if (kind == OpKind::View) {
        share(result, operand);
        break; // the tensor that is viewed comes first
      }
    }
    for (unsigned other = 0; knowsNothing && other < result; ++other)
      sharing.withResult.emplace_back(result, other);
  }
  return sharing;
}

} // namespace bifront
