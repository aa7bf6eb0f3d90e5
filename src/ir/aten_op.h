// Between `bf.aten` and the plain descriptions of src/support, and what a call does to its
// operands.
#pragma once

#include "ir/bf_dialect.h"
#include "ir/op_table.h"
#include "ir/schema.h"
#include "support/aten_call.h"
#include "support/tensor_type.h"

namespace bifront {

AtenCall callOf(bf::AtenOp op);
mlir::ArrayAttr encodeArgs(mlir::MLIRContext *context, llvm::ArrayRef<AtenArg> args);
// Throws std::invalid_argument where an attribute is not one that encodeArgs makes.
AtenArg decodeArg(mlir::Attribute attr, uint32_t &nextOperand);

// A `?` without a world (hand-written IR) equals no other dimension. Throws std::invalid_argument
// for types that graph values do not have.
ValueType valueTypeOf(mlir::Type type);
mlir::Type mlirTypeOf(mlir::MLIRContext *context, const ValueType &type);
mlir::RankedTensorType mlirTypeOf(mlir::MLIRContext *context, const TensorType &type);

// TensorType::order is no part of a type, as passes may lay values out otherwise: an attribute
// beside the op or the function's argument keeps what was recorded.
void setOrder(mlir::OpResult value, llvm::ArrayRef<int64_t> order);
// The same for an argument of a function.
mlir::NamedAttribute orderAttr(mlir::MLIRContext *context, llvm::ArrayRef<int64_t> order);
std::vector<int64_t> orderOf(mlir::Value value);
mlir::Type elementTypeOf(mlir::MLIRContext *context, DType dtype);
// Throws std::invalid_argument where tensors have no such elements.
DType dtypeOf(mlir::Type elementType);
// All sizes are known to be equal, dynamic ones included.
bool haveSameShape(mlir::RankedTensorType a, mlir::RankedTensorType b);

// Makes a call. `inputs` are its operands in order.
bf::AtenOp createAten(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef schema,
                      llvm::ArrayRef<AtenArg> args, mlir::ValueRange inputs,
                      mlir::TypeRange results, llvm::ArrayRef<int32_t> written = {},
                      bool noGrad = false);

// Zeros of a static shape, which no gradient goes through.
mlir::Value createZeros(mlir::OpBuilder &builder, mlir::Location loc, mlir::RankedTensorType type);

// The arguments of a call with their names, each constant or operand(s).
class AtenArgs {
public:
  explicit AtenArgs(bf::AtenOp op);

  const Schema *schema() const { return knownSchema; }
  size_t size() const { return perArg.size(); }
  const AtenArg &at(size_t index) const { return perArg[index]; }
  // The constant or operand with this name; null where the schema is unknown or has no such
  // argument.
  const AtenArg *named(llvm::StringRef name) const;
  // The operand behind an argument; null where it is a constant.
  mlir::Value value(const AtenArg *arg) const;
  mlir::Value valueNamed(llvm::StringRef name) const { return value(named(name)); }
  mlir::Value valueAt(size_t index) const { return value(&perArg[index]); }
  std::optional<int64_t> intNamed(llvm::StringRef name) const;
  std::optional<bool> boolNamed(llvm::StringRef name) const;
  // Numbers of the operands under argument `index` (several for a list).
  std::vector<uint32_t> operandsOf(size_t index) const;

private:
  bf::AtenOp op;
  const Schema *knownSchema;
  std::vector<AtenArg> perArg;
};

// Numbers of the operands whose contents the call changes (none where it is functional): the
// schema's
// `(a!)` and the hidden writes of the op table.
std::vector<uint32_t> writtenOperands(bf::AtenOp op);
// Results of the call that share memory with operand numbers: (result, operand), from the schema's
// annotations; a list result gives one pair for each of its tensors.
std::vector<std::pair<unsigned, uint32_t>> aliasedResults(bf::AtenOp op);

} // namespace bifront
