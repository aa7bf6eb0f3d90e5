#include "codegen/kernel_body.h"

#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace bifront {

ElementType KernelBody::typeOf(uint32_t value) const {
  if (value < inputs.size())
    return inputs[value];
  if (value < firstOp())
    return numbers[value - inputs.size()];
  return ops[value - firstOp()].type;
}

KernelBody kernelBodyOf(bf::PointwiseOp op) {
  KernelBody body;
  llvm::DenseMap<Value, uint32_t> numbering;
  Block *block = op.getBodyBlock();
  for (auto [input, argument] : llvm::zip(op.getInputs(), block->getArguments())) {
    if (!isa<RankedTensorType>(input.getType()))
      continue;
    numbering[argument] = body.inputs.size();
    body.inputs.push_back(elementTypeOf(argument.getType()));
  }
  for (auto [input, argument] : llvm::zip(op.getInputs(), block->getArguments())) {
    if (isa<RankedTensorType>(input.getType()))
      continue;
    numbering[argument] = body.firstOp();
    body.numbers.push_back(elementTypeOf(argument.getType()));
  }
  llvm::DenseSet<Operation *> needed;
  auto yield = cast<bf::YieldOp>(block->getTerminator());
  for (Operation &inner : llvm::reverse(*block)) {
    bool isNeeded = &inner == yield || llvm::any_of(inner.getUsers(), [&](Operation *user) {
      return needed.contains(user);
    });
    if (isNeeded)
      needed.insert(&inner);
  }
  for (Operation &inner : block->without_terminator()) {
    if (!needed.contains(&inner))
      continue;
    ElementOp made = elementOpOf(&inner);
    for (auto [k, operand] : llvm::enumerate(inner.getOperands()))
      made.operands[k] = numbering.lookup(operand);
    numbering[inner.getResult(0)] = body.firstOp() + body.ops.size();
    body.ops.push_back(made);
  }
  for (Value value : yield.getValues())
    body.outputs.push_back({numbering.lookup(value), elementTypeOf(value.getType())});
  return body;
}

std::string kernelKey(const KernelBody &body, const std::vector<InnerAccess> &access) {
  std::string key;
  auto add = [&](uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i)
      key.push_back(static_cast<char>(value >> (8 * i)));
  };
  add(body.inputs.size(), 4);
  for (ElementType type : body.inputs)
    add(static_cast<uint64_t>(type), 1);
  add(body.numbers.size(), 4);
  for (ElementType type : body.numbers)
    add(static_cast<uint64_t>(type), 1);
  add(body.ops.size(), 4);
  for (const ElementOp &op : body.ops) {
    add(static_cast<uint64_t>(op.opcode), 1);
    add(static_cast<uint64_t>(op.type), 1);
    add(op.detail, 1);
    for (unsigned k = 0; k < arityOf(op); ++k)
      add(op.operands[k], 4);
    if (op.opcode == Opcode::Constant)
      add(op.constant, 8);
  }
  for (const KernelBody::Output &output : body.outputs) {
    add(output.value, 4);
    add(static_cast<uint64_t>(output.type), 1);
  }
  for (InnerAccess kind : access)
    add(static_cast<uint64_t>(kind), 1);
  return key;
}

} // namespace bifront
