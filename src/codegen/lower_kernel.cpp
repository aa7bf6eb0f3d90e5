#include "codegen/lower_kernel.h"

#include "codegen/codegen_error.h"
#include "codegen/emit_element_op.h"
#include "codegen/native_symbols.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/Module.h"

#include <numeric>

using llvm::BasicBlock;
using llvm::PHINode;
using llvm::Value;

namespace bifront {
namespace {

constexpr const char *kCallVectorFunction = "bf_vector_function"; // runtime/vector_functions.h

// As many elements as a register holds of what is mostly computed: 4-byte numbers, or 8-byte ones
// where there is nothing smaller.
unsigned lanesFor(const KernelBody &body, unsigned vectorBytes) {
  bool small = false, large = false;
  auto look = [&](ElementType type) {
    if (type != ElementType::I1)
      (bytesOf(type) == 8 ? large : small) = true;
  };
  for (ElementType type : body.inputs)
    look(type);
  for (const KernelBody::Output &output : body.outputs)
    look(output.type);
  for (const ElementOp &op : body.ops)
    if (op.opcode != Opcode::Constant)
      look(op.type);
  return large && !small ? vectorBytes / 8 : vectorBytes / 4;
}

class KernelLowering {
public:
  KernelLowering(llvm::Module &module, const KernelBody &body,
                 const std::vector<InnerAccess> &access, unsigned vectorBytes)
      : module(module), context(module.getContext()), body(body), access(access), builder(context),
        lanes(lanesFor(body, vectorBytes)), emitter(builder, lanes, vectorBytes),
        scalarEmitter(builder, 1, vectorBytes) {}

  llvm::Function *lower(const std::string &symbol);

private:
  bool isUniform(uint32_t value) const { return uniform[value]; }
  void findUniformValues();
  void findUsedInputs();
  void createFunction(const std::string &symbol);
  void callLibrary(llvm::StringRef name);
  void enterRow();
  void emitVectorLoop();
  void emitTail();
  Value *load(uint32_t operand, Value *index, Value *mask);
  void store(uint32_t operand, Value *index, Value *value, Value *mask);
  Value *addresses(uint32_t operand, Value *index);
  Value *stepOf(uint32_t operand);
  // One vector of elements from `index` on; `mask` is null for a full one.
  void emitBody(Value *index, Value *mask);
  Value *emitOp(uint32_t number, llvm::ArrayRef<Value *> values);
  Value *splat(Value *scalar) { return builder.CreateVectorSplat(lanes, scalar); }
  Value *int64(int64_t value) { return builder.getInt64(value); }
  ElementType operandType(uint32_t operand) const {
    return operand < body.inputs.size() ? body.inputs[operand]
                                        : body.outputs[operand - body.inputs.size()].type;
  }
  InnerAccess accessOf(uint32_t operand) const {
    return access.empty() ? InnerAccess::Contiguous : access[operand];
  }

  llvm::Module &module;
  llvm::LLVMContext &context;
  const KernelBody &body;
  const std::vector<InnerAccess> &access;
  llvm::IRBuilder<> builder;
  unsigned lanes;
  ElementEmitter emitter, scalarEmitter;

  llvm::Function *function = nullptr;
  Value *pointers = nullptr, *strides = nullptr, *n = nullptr, *m = nullptr, *scalars = nullptr;
  std::vector<bool> uniform, used;     // per value; per operand
  std::vector<Value *> rowPointers;    // per operand: where its row starts
  std::vector<Value *> rowStrides;     // per operand
  std::vector<Value *> elementStrides; // per operand, where its access is Strided
  std::vector<Value *> rowValues;      // per value: known for the whole row, or null
};

void KernelLowering::findUniformValues() {
  for (uint32_t k = 0; k < body.inputs.size(); ++k)
    uniform.push_back(accessOf(k) == InnerAccess::Broadcast);
  uniform.insert(uniform.end(), body.numbers.size(), true);
  for (const ElementOp &op : body.ops) {
    bool all = true;
    for (unsigned k = 0; k < arityOf(op); ++k)
      all = all && uniform[op.operands[k]];
    uniform.push_back(all);
  }
}

void KernelLowering::findUsedInputs() {
  used.assign(body.numOperands(), false);
  std::fill(used.begin() + body.inputs.size(), used.end(), true);
  auto use = [&](uint32_t value) {
    if (value < body.inputs.size())
      used[value] = true;
  };
  for (const ElementOp &op : body.ops)
    for (unsigned k = 0; k < arityOf(op); ++k)
      use(op.operands[k]);
  for (const KernelBody::Output &output : body.outputs)
    use(output.value);
}

void KernelLowering::createFunction(const std::string &symbol) {
  llvm::Type *pointer = builder.getPtrTy(), *integer = builder.getInt64Ty();
  auto *type = llvm::FunctionType::get(builder.getVoidTy(),
                                       {pointer, pointer, integer, integer, pointer}, false);
  function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, symbol, module);
  if (function->getName() != symbol)
    throw CodegenError("two different kernels have the symbol " + symbol);
  pointers = function->getArg(0), strides = function->getArg(1);
  n = function->getArg(2), m = function->getArg(3), scalars = function->getArg(4);
}

Value *KernelLowering::emitOp(uint32_t number, llvm::ArrayRef<Value *> values) {
  const ElementOp &op = body.ops[number];
  llvm::SmallVector<Value *, 3> operands;
  for (unsigned k = 0; k < arityOf(op); ++k)
    operands.push_back(values[op.operands[k]]);
  ElementType first = operands.empty() ? op.type : body.typeOf(op.operands[0]);
  return emitter.emit(op, operands, first);
}

// What stays the same along the row.
void KernelLowering::enterRow() {
  for (uint32_t k = 0; k < body.inputs.size(); ++k) {
    if (!isUniform(k) || !used[k])
      continue;
    ElementType type = body.inputs[k];
    Value *loaded = builder.CreateLoad(scalarEmitter.memoryTypeOf(type), rowPointers[k]);
    rowValues[k] = splat(scalarEmitter.fromMemory(type, loaded));
  }
  for (uint32_t i = 0; i < body.ops.size(); ++i)
    if (isUniform(body.firstOp() + i) && !rowValues[body.firstOp() + i])
      rowValues[body.firstOp() + i] = emitOp(i, rowValues);
}

Value *KernelLowering::stepOf(uint32_t operand) {
  return accessOf(operand) == InnerAccess::Strided ? elementStrides[operand]
                                                   : int64(bytesOf(operandType(operand)));
}

Value *KernelLowering::addresses(uint32_t operand, Value *index) {
  Value *start =
      builder.CreatePtrAdd(rowPointers[operand], builder.CreateMul(index, stepOf(operand)));
  if (accessOf(operand) != InnerAccess::Strided)
    return start;
  llvm::SmallVector<llvm::Constant *> numbers;
  for (unsigned lane = 0; lane < lanes; ++lane)
    numbers.push_back(builder.getInt64(lane));
  Value *offsets =
      builder.CreateMul(llvm::ConstantVector::get(numbers), splat(elementStrides[operand]));
  return builder.CreateGEP(builder.getInt8Ty(), start, offsets);
}

Value *KernelLowering::load(uint32_t operand, Value *index, Value *mask) {
  ElementType type = operandType(operand);
  llvm::Type *memory = emitter.memoryTypeOf(type);
  Value *at = addresses(operand, index);
  llvm::Align align(bytesOf(type));
  Value *loaded = nullptr;
  if (accessOf(operand) == InnerAccess::Strided)
    loaded =
        builder.CreateMaskedGather(memory, at, align, mask, llvm::Constant::getNullValue(memory));
  else if (mask)
    loaded =
        builder.CreateMaskedLoad(memory, at, align, mask, llvm::Constant::getNullValue(memory));
  else
    loaded = builder.CreateAlignedLoad(memory, at, align);
  return emitter.fromMemory(type, loaded);
}

void KernelLowering::store(uint32_t operand, Value *index, Value *value, Value *mask) {
  ElementType type = operandType(operand);
  Value *at = addresses(operand, index);
  Value *bits = emitter.toMemory(type, value);
  llvm::Align align(bytesOf(type));
  if (accessOf(operand) == InnerAccess::Strided)
    builder.CreateMaskedScatter(bits, at, align, mask);
  else if (mask)
    builder.CreateMaskedStore(bits, at, align, mask);
  else
    builder.CreateAlignedStore(bits, at, align);
}

void KernelLowering::emitBody(Value *index, Value *mask) {
  std::vector<Value *> values = rowValues;
  for (uint32_t k = 0; k < body.inputs.size(); ++k)
    if (!values[k] && used[k])
      values[k] = load(k, index, mask);
  for (uint32_t i = 0; i < body.ops.size(); ++i)
    if (!values[body.firstOp() + i])
      values[body.firstOp() + i] = emitOp(i, values);
  for (uint32_t k = 0; k < body.outputs.size(); ++k)
    store(body.inputs.size() + k, index, values[body.outputs[k].value], mask);
}

void KernelLowering::emitVectorLoop() {
  BasicBlock *before = builder.GetInsertBlock();
  auto *loop = BasicBlock::Create(context, "vector", function);
  auto *after = BasicBlock::Create(context, "rest", function);
  Value *end = builder.CreateAnd(n, int64(-static_cast<int64_t>(lanes)), "whole");
  builder.CreateCondBr(builder.CreateICmpSGT(end, int64(0)), loop, after);
  builder.SetInsertPoint(loop);
  PHINode *index = builder.CreatePHI(builder.getInt64Ty(), 2, "i");
  index->addIncoming(int64(0), before);
  emitBody(index, nullptr);
  Value *next = builder.CreateAdd(index, int64(lanes));
  index->addIncoming(next, builder.GetInsertBlock());
  builder.CreateCondBr(builder.CreateICmpSLT(next, end), loop, after);
  builder.SetInsertPoint(after);
}

void KernelLowering::emitTail() {
  auto *tail = BasicBlock::Create(context, "tail", function);
  auto *after = BasicBlock::Create(context, "row.end", function);
  Value *left = builder.CreateAnd(n, int64(lanes - 1), "left");
  builder.CreateCondBr(builder.CreateICmpNE(left, int64(0)), tail, after);
  builder.SetInsertPoint(tail);
  llvm::SmallVector<llvm::Constant *> numbers;
  for (unsigned lane = 0; lane < lanes; ++lane)
    numbers.push_back(builder.getInt32(lane));
  Value *mask = builder.CreateICmpULT(llvm::ConstantVector::get(numbers),
                                      splat(builder.CreateTrunc(left, builder.getInt32Ty())));
  emitBody(builder.CreateSub(n, left), mask);
  builder.CreateBr(after);
  builder.SetInsertPoint(after);
}

// The library's function that the kernel is, where torch brings it.
llvm::StringRef libraryFunctionOf(const KernelBody &body) {
  bool isOne = body.ops.size() == 1 && body.ops[0].detail == kFromLibrary &&
               body.ops[0].opcode == Opcode::Sqrt && body.inputs.size() == 1;
  if (!isOne)
    return {};
  llvm::StringRef name = body.ops[0].type == ElementType::F64 ? "VMDSQRT_" : "VMSSQRT_";
  return findSymbol(name) && findSymbol(kCallVectorFunction) ? name : llvm::StringRef();
}

void KernelLowering::callLibrary(llvm::StringRef name) {
  builder.SetInsertPoint(BasicBlock::Create(context, "entry", function));
  llvm::Type *pointer = builder.getPtrTy(), *integer = builder.getInt64Ty();
  Value *steps = builder.CreateAlloca(integer, int64(2));
  for (uint32_t k = 0; k < 2; ++k) {
    Value *step = int64(accessOf(k) == InnerAccess::Contiguous ? bytesOf(operandType(k)) : 0);
    if (accessOf(k) == InnerAccess::Strided)
      step = builder.CreateLoad(integer, builder.CreateConstGEP1_64(integer, strides, 2 + k));
    builder.CreateStore(step, builder.CreateConstGEP1_64(integer, steps, k));
  }
  auto *type = llvm::FunctionType::get(
      builder.getVoidTy(), {pointer, integer, pointer, pointer, integer, integer, pointer}, false);
  llvm::FunctionCallee callee =
      module.getOrInsertFunction(name, llvm::FunctionType::get(builder.getVoidTy(), false));
  builder.CreateCall(
      module.getOrInsertFunction(kCallVectorFunction, type),
      {callee.getCallee(), int64(bytesOf(operandType(0))), pointers, strides, n, m, steps});
  builder.CreateRetVoid();
}

llvm::Function *KernelLowering::lower(const std::string &symbol) {
  findUniformValues();
  findUsedInputs();
  createFunction(symbol);
  if (llvm::StringRef name = libraryFunctionOf(body); !name.empty()) {
    callLibrary(name);
    return function;
  }
  auto *entry = BasicBlock::Create(context, "entry", function);
  builder.SetInsertPoint(entry);
  size_t operands = body.numOperands();
  rowValues.assign(body.firstOp() + body.ops.size(), nullptr);
  std::vector<Value *> starts(operands);
  rowPointers.resize(operands);
  rowStrides.resize(operands);
  elementStrides.resize(operands);
  for (uint32_t k = 0; k < operands; ++k) {
    if (!used[k])
      continue;
    starts[k] = builder.CreateLoad(builder.getPtrTy(),
                                   builder.CreateConstGEP1_64(builder.getPtrTy(), pointers, k));
    rowStrides[k] = builder.CreateLoad(
        builder.getInt64Ty(), builder.CreateConstGEP1_64(builder.getInt64Ty(), strides, k));
    if (accessOf(k) == InnerAccess::Strided)
      elementStrides[k] = builder.CreateLoad(
          builder.getInt64Ty(),
          builder.CreateConstGEP1_64(builder.getInt64Ty(), strides, operands + k));
  }
  for (uint32_t k = 0; k < body.numbers.size(); ++k) {
    ElementType type = body.numbers[k];
    bool isBool = type == ElementType::I1;
    llvm::Type *stored = isBool ? builder.getInt64Ty() : scalarEmitter.memoryTypeOf(type);
    Value *number =
        builder.CreateLoad(stored, builder.CreateConstGEP1_64(builder.getInt64Ty(), scalars, k));
    rowValues[body.inputs.size() + k] =
        splat(isBool ? scalarEmitter.fromMemory(type, number) : number);
  }
  // What depends on no tensor is the same in all rows.
  for (uint32_t i = 0; i < body.ops.size(); ++i) {
    bool known = true;
    for (unsigned k = 0; k < arityOf(body.ops[i]); ++k)
      known = known && rowValues[body.ops[i].operands[k]];
    if (known)
      rowValues[body.firstOp() + i] = emitOp(i, rowValues);
  }

  auto *row = BasicBlock::Create(context, "row", function);
  auto *done = BasicBlock::Create(context, "done", function);
  builder.CreateCondBr(builder.CreateICmpSGT(m, int64(0)), row, done);
  builder.SetInsertPoint(row);
  PHINode *rowNumber = builder.CreatePHI(builder.getInt64Ty(), 2, "row.number");
  rowNumber->addIncoming(int64(0), entry);
  std::vector<PHINode *> phis(operands);
  for (uint32_t k = 0; k < operands; ++k) {
    if (!used[k])
      continue;
    phis[k] = builder.CreatePHI(builder.getPtrTy(), 2);
    phis[k]->addIncoming(starts[k], entry);
    rowPointers[k] = phis[k];
  }
  enterRow();
  emitVectorLoop();
  emitTail();
  for (uint32_t k = 0; k < operands; ++k)
    if (used[k])
      phis[k]->addIncoming(builder.CreatePtrAdd(rowPointers[k], rowStrides[k]),
                           builder.GetInsertBlock());
  Value *nextRow = builder.CreateAdd(rowNumber, int64(1));
  rowNumber->addIncoming(nextRow, builder.GetInsertBlock());
  builder.CreateCondBr(builder.CreateICmpSLT(nextRow, m), row, done);
  builder.SetInsertPoint(done);
  builder.CreateRetVoid();
  return function;
}

} // namespace

llvm::Function *lowerKernel(llvm::Module &module, const std::string &symbol, const KernelBody &body,
                            const std::vector<InnerAccess> &access, unsigned vectorBytes) {
  return KernelLowering(module, body, access, vectorBytes).lower(symbol);
}

} // namespace bifront
