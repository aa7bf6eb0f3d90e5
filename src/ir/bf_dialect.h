// The dialect `bf` in C++: attributes and ops. The reference page is docs/ir.md, made from
// bf_ops.td.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/bf_dialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "ir/bf_attributes.h.inc"

#define GET_TYPEDEF_CLASSES
#include "ir/bf_types.h.inc"

namespace bifront::bf {

// What tapes hold: pushes and pops stay, and stay in order.
struct TapeMemory : mlir::SideEffects::Resource::Base<TapeMemory> {
  llvm::StringRef getName() final { return "TapeMemory"; }
};

} // namespace bifront::bf

#define GET_OP_CLASSES
#include "ir/bf_ops.h.inc"

namespace bifront::bf {

// What one element of a tensor with this element type is in the body of a bf.pointwise (arith wants
// signless integers, so ui8 becomes i8); numbers are themselves.
mlir::Type bodyTypeOf(mlir::Type operandType);

// The random stream: calls that draw from it stay, and stay in order.
struct RandomStream : mlir::SideEffects::Resource::Base<RandomStream> {
  llvm::StringRef getName() final { return "RandomStream"; }
};

} // namespace bifront::bf

namespace bifront {

// Loads every dialect that graphs use.
void loadDialects(mlir::MLIRContext &context);
void registerDialects(mlir::DialectRegistry &registry);

} // namespace bifront
