#include "runtime/object_reads.h"

#include "runtime/frame.h"

namespace bifront {
namespace {

ObjectReads &given() {
  static ObjectReads reads;
  return reads;
}

} // namespace

void setObjectReads(const ObjectReads &reads) { given() = reads; }

const ObjectReads &objectReads() {
  TORCH_CHECK(given().read, "the graph reads Python objects, and there is no Python");
  return given();
}

// A tensor that the graph writes would have to be read as the graph has it.
bool Frame::isWritten(const at::Tensor &tensor) const {
  for (const StoreStep &store : root.program.stores)
    if (store.attribute.empty() && tensor.has_storage() &&
        root.slots[store.target].storage().is_alias_of(tensor.storage()))
      return true;
  return false;
}

int32_t Frame::readObject(uint32_t index) {
  const ObjectStep &step = program.objectReads[index];
  const ObjectReads &reads = objectReads();
  run.location = step.location;
  objectNames.resize(program.objectReads.size());
  if (!objectNames[index])
    objectNames[index] = reads.intern(step.read.name);
  ObjectAddress operands[kMostObjectOperands] = {};
  for (size_t k = 0; k < step.operands.size(); ++k)
    operands[k] = scalars[step.operands[k]].i;
  ObjectResult result;
  if (!reads.read(step.read, objectNames[index], operands, result, run.held) ||
      (result.tensor.defined() && isWritten(result.tensor))) {
    noteFailure(step.assertion);
    return kAssertionFailed;
  }
  if (step.result.index != kNoSlot && step.result.kind == OperandRef::Kind::Tensor)
    slots[step.result.index] = std::move(result.tensor);
  else if (step.result.index != kNoSlot)
    scalars[step.result.index] = result.scalar;
  return 0;
}

} // namespace bifront
