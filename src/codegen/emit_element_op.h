// ElementOps as LLVM instructions, on one element or on a vector of them.
#pragma once

#include "codegen/element_op.h"

#include "llvm/IR/IRBuilder.h"

namespace bifront {

// f16 and bf16 are kept as f32 that have been rounded: as ATen computes them, and what every
// machine can.
class ElementEmitter {
public:
  // `lanes` 1: plain numbers. `vectorBytes`: the machine's vector registers.
  ElementEmitter(llvm::IRBuilder<> &builder, unsigned lanes, unsigned vectorBytes)
      : builder(builder), lanes(lanes), vectorBytes(vectorBytes) {}

  llvm::Type *typeOf(ElementType type) const;
  // `operandType` is the type of the first operand.
  llvm::Value *emit(const ElementOp &op, llvm::ArrayRef<llvm::Value *> operands,
                    ElementType operandType);

  // Between registers and memory, where bool is a byte and f16, bf16 are 16 bits.
  llvm::Type *memoryTypeOf(ElementType type) const;
  llvm::Value *fromMemory(ElementType type, llvm::Value *loaded);
  llvm::Value *toMemory(ElementType type, llvm::Value *value);

private:
  llvm::Type *widen(llvm::Type *scalar) const;
  llvm::Constant *integer(ElementType type, uint64_t value) const;
  llvm::Constant *number(ElementType type, double value) const;
  llvm::Value *constant(const ElementOp &op) const;
  llvm::Value *intrinsic(unsigned id, llvm::ArrayRef<llvm::Value *> operands);
  llvm::Value *rounded(ElementType type, llvm::Value *value);
  llvm::Value *roundToBFloat16(llvm::Value *value);
  llvm::Value *arithmetic(const ElementOp &op, llvm::ArrayRef<llvm::Value *> operands);
  llvm::Value *conversion(const ElementOp &op, llvm::Value *value, ElementType from);
  llvm::Value *floatToInt(const ElementOp &op, llvm::Value *value);
  llvm::Value *classify(Opcode opcode, llvm::Value *value);
  llvm::Value *divide(const ElementOp &op, llvm::Value *a, llvm::Value *b);
  llvm::Value *callFunction(const MathFunction &function, ElementType type,
                            llvm::ArrayRef<llvm::Value *> operands);
  llvm::Value *callByPieces(llvm::StringRef symbol, unsigned pieceLanes,
                            llvm::ArrayRef<llvm::Value *> operands);
  llvm::Value *callByLanes(llvm::StringRef symbol, llvm::ArrayRef<llvm::Value *> operands);

  llvm::IRBuilder<> &builder;
  unsigned lanes, vectorBytes;
};

} // namespace bifront
