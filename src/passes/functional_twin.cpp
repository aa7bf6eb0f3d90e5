#include "passes/functional_twin.h"

#include "passes/type_promotion.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace bifront {
namespace {

bool sameArgs(const Schema &a, const Schema &b) {
  if (a.args.size() != b.args.size())
    return false;
  for (size_t i = 0; i < a.args.size(); ++i)
    if (a.args[i].name != b.args[i].name || a.args[i].type != b.args[i].type)
      return false;
  return true;
}

std::string twinOf(bf::AtenOp op, const Schema &schema) {
  StringRef name = op.getSchema();
  // A random op's pure twin may lay its result out differently, and so draw in another order.
  if (opRow(name).kind == OpKind::Random)
    return {};
  auto [base, overload] = name.split('.');
  if (!base.ends_with("_") || base.ends_with("__"))
    return {};
  std::string twin = base.drop_back().str() + (overload.empty() ? "" : "." + overload.str());
  const Schema *pure = lookupSchema(twin);
  if (!pure || !sameArgs(schema, *pure) || pure->returns.size() != 1 ||
      pure->returns[0].type != "Tensor" || !pure->returns[0].alias.empty())
    return {};
  return twin;
}

// What dtype the twin's result has; nothing where this is not known for certain.
std::optional<DType> twinDType(bf::AtenOp op, StringRef twin) {
  static const llvm::StringSet<> asBool = {
      "aten::eq",          "aten::ne",         "aten::lt",          "aten::le",
      "aten::gt",          "aten::ge",         "aten::logical_and", "aten::logical_or",
      "aten::logical_xor", "aten::logical_not"};
  static const llvm::StringSet<> asSelf = {
      "aten::copy",      "aten::fill",        "aten::zero",           "aten::masked_fill",
      "aten::index_put", "aten::index_add",   "aten::index_copy",     "aten::index_fill",
      "aten::scatter",   "aten::scatter_add", "aten::scatter_reduce", "aten::masked_scatter",
      "aten::clamp_min", "aten::tril",        "aten::triu",           "aten::addmm",
      "aten::addmv",     "aten::baddbmm",     "aten::addbmm"};
  static const llvm::StringSet<> promoting = {
      "aten::add", "aten::sub",  "aten::mul",  "aten::div",       "aten::addcmul", "aten::addcdiv",
      "aten::pow", "aten::lerp", "aten::fmod", "aten::remainder", "aten::maximum", "aten::minimum"};
  DType self = dtypeOf(cast<RankedTensorType>(op.getInputs()[0].getType()).getElementType());
  StringRef base = twin.split('.').first;
  if (asBool.contains(base))
    return DType::Bool;
  if (asSelf.contains(base))
    return self;
  Promotion promotion;
  bool uniform = true;
  AtenArgs args(op);
  for (size_t i = 0; i < args.size(); ++i) {
    const SchemaArg &formal = args.schema()->args[i];
    if (formal.isTensor || (formal.type == "Scalar" && formal.name == "other")) {
      if (Value value = args.valueAt(i)) {
        promotion.addOperand(value.getType());
        uniform &= dtypeOf(getElementTypeOrSelf(value.getType())) == self;
      } else if (std::holds_alternative<int64_t>(args.at(i).value)) {
        promotion.addNumber(DType::Int64);
      } else if (std::holds_alternative<double>(args.at(i).value)) {
        promotion.addNumber(DType::Double);
      } else if (std::holds_alternative<bool>(args.at(i).value)) {
        promotion.addNumber(DType::Bool);
      } else if (!std::holds_alternative<AtenArg::None>(args.at(i).value)) {
        return std::nullopt;
      }
    }
  }
  if (promoting.contains(base)) {
    // A true quotient of integers is a float, which eager refuses to put into an integer tensor.
    std::optional<DType> result = promotion.result();
    return base == "aten::div" && result && isIntegral(*result) ? std::nullopt : result;
  }
  return uniform && isFloating(self) ? std::optional(self) : std::nullopt;
}

} // namespace

Value emitPureTwin(OpBuilder &builder, bf::AtenOp op) {
  const Schema *schema = lookupSchema(op.getSchema());
  if (!schema || writtenOperands(op) != std::vector<uint32_t>{0})
    return {};
  std::string twin = twinOf(op, *schema);
  if (twin.empty())
    return {};
  auto self = cast<RankedTensorType>(op.getInputs()[0].getType());
  std::optional<DType> dtype = twinDType(op, twin);
  if (!dtype)
    return {};
  MLIRContext *context = builder.getContext();
  auto computed =
      RankedTensorType::get(self.getShape(), elementTypeOf(context, *dtype), self.getEncoding());
  auto pure =
      bf::AtenOp::create(builder, op.getLoc(), TypeRange(computed), builder.getStringAttr(twin),
                         op.getArgs(), nullptr, op.getNoGradAttr(), op.getInputs());
  if (computed == self)
    return pure.getResult(0);
  int64_t wanted = int64_t(dtypeOf(self.getElementType()));
  AtenArg none{AtenArg::None{}};
  std::vector<AtenArg> castArgs = {
      {AtenArg::Operand{0}}, {wanted}, none, none, none, {false}, none};
  return createAten(builder, op.getLoc(), "aten::_to_copy", castArgs, pure.getResult(0), self, {},
                    op.getNoGrad())
      .getResult(0);
}

bf::AtenOp emitFunctionalForm(OpBuilder &builder, bf::AtenOp op, ArrayRef<uint32_t> written) {
  SmallVector<Type> types(op.getResultTypes());
  SmallVector<int32_t> numbers;
  for (uint32_t operand : written) {
    types.push_back(op.getInputs()[operand].getType());
    numbers.push_back(operand);
  }
  return bf::AtenOp::create(builder, op.getLoc(), types, op.getSchemaAttr(), op.getArgs(),
                            builder.getDenseI32ArrayAttr(numbers), op.getNoGradAttr(),
                            op.getInputs());
}

} // namespace bifront
