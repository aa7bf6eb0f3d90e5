// What emissions of pointwise ops are written with: the body under construction, the call's
// arguments as elements, conversions as ATen does them.
#pragma once

#include "ir/aten_op.h"
#include "passes/type_promotion.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace bifront {

class PointwiseEmitter {
public:
  // `elements`: the body's arguments, one for each operand of `op`.
  PointwiseEmitter(mlir::OpBuilder &builder, bf::AtenOp op, mlir::ValueRange elements);

  const AtenArgs &args() const { return arguments; }
  bf::AtenOp call() const { return op; }
  DType resultDType() const { return result; }

  // From here on elements are read in this dtype; halves are computed in f32. At first it is the
  // result's.
  void computeIn(DType dtype);
  DType computeDType() const { return compute; }
  bool inFloat() const { return isFloating(compute); }
  bool inUnsigned() const { return compute == DType::UInt8 || compute == DType::Bool; }
  mlir::Type computeType() const;

  // An argument (a tensor's element or a number) as computed with; null where it is None, a complex
  // number or the like.
  mlir::Value read(llvm::StringRef name);
  mlir::Value read(size_t index) { return readArg(&arguments.at(index)); }
  // The same, a number too rounded to the dtype of computation (halves).
  mlir::Value readRounded(llvm::StringRef name);
  // The same as a bool.
  mlir::Value readBool(llvm::StringRef name);
  // Promotion over these arguments; nothing where one is missing.
  std::optional<DType> promotionOf(llvm::ArrayRef<llvm::StringRef> names);
  std::optional<double> constant(llvm::StringRef name) const;
  std::optional<std::string> text(llvm::StringRef name) const;
  bool isNone(llvm::StringRef name) const;
  // Tensors of the call, of which the dtype is wanted.
  std::optional<DType> dtypeOfArg(llvm::StringRef name) const;

  // From the dtype of computation (or `from`) to an element of the result.
  mlir::Value toResult(mlir::Value computed);
  mlir::Value convert(mlir::Value value, DType from, DType to);
  // What `dtype` is computed in: f32 for halves.
  mlir::Value toCompute(mlir::Value value, DType dtype);

  mlir::Value number(double value); // in the type of computation
  mlir::Value number(mlir::Type type, double value);
  mlir::Value truth(bool value);

  template <typename Op, typename... Args> mlir::Value make(Args &&...operands) {
    return Op::create(builder, loc, std::forward<Args>(operands)...);
  }
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b) { return make<mlir::arith::DivFOp>(a, b); }
  // a * b + c, rounded once.
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c) {
    return make<mlir::math::FmaOp>(a, b, c);
  }
  mlir::Value neg(mlir::Value a);
  mlir::Value select(mlir::Value condition, mlir::Value yes, mlir::Value no) {
    return make<mlir::arith::SelectOp>(condition, yes, no);
  }
  // Comparisons that are false for NaN, but for `ne`.
  enum class Is { Eq, Ne, Lt, Le, Gt, Ge };
  mlir::Value compare(Is relation, mlir::Value a, mlir::Value b);
  mlir::Value logicalNot(mlir::Value a) { return make<mlir::arith::XOrIOp>(a, truth(true)); }

private:
  mlir::Value readArg(const AtenArg *arg);

  mlir::OpBuilder &builder;
  bf::AtenOp op;
  mlir::ValueRange elements;
  AtenArgs arguments;
  mlir::Location loc;
  DType result, compute;
};

// Emits the body's value for `op`'s result, already of the result's element type; null (whatever
// was emitted is dropped) where it is left to ATen.
using PointwiseEmission = mlir::Value (*)(PointwiseEmitter &);
// Null where the schema has none.
PointwiseEmission emissionFor(llvm::StringRef schema);

} // namespace bifront
