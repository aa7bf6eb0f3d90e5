#include "ir/bf_dialect.h"

#include "ir/aten_op.h"
#include "support/object_read.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/TypeSwitch.h"

#include "ir/bf_dialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "ir/bf_attributes.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "ir/bf_types.cpp.inc"

using namespace mlir;

namespace bifront {

void registerDialects(DialectRegistry &registry) {
  registry.insert<bf::BfDialect, arith::ArithDialect, math::MathDialect, func::FuncDialect,
                  scf::SCFDialect>();
}

void loadDialects(MLIRContext &context) {
  context.loadDialect<bf::BfDialect, arith::ArithDialect, math::MathDialect, func::FuncDialect,
                      scf::SCFDialect>();
}

namespace bf {

void BfDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ir/bf_attributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "ir/bf_types.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "ir/bf_ops.cpp.inc"
      >();
}

Type bodyTypeOf(Type operandType) {
  auto tensor = dyn_cast<RankedTensorType>(operandType);
  Type element = tensor ? tensor.getElementType() : operandType;
  auto integer = dyn_cast<IntegerType>(element);
  if (integer && !integer.isSignless())
    return IntegerType::get(element.getContext(), integer.getWidth());
  return element;
}

//===- #bf.tensor --------------------------------------------------------------------------===//

LogicalResult TensorEncodingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                         ArrayRef<int64_t> worlds, StringRef device) {
  if (worlds.size() % 2 != 0)
    return emitError() << "worlds must hold pairs of sizes";
  for (size_t i = 0; i < worlds.size(); i += 2)
    if (worlds[i] == worlds[i + 1])
      return emitError() << "a dynamic dimension has different sizes in the two worlds, not "
                         << worlds[i] << " in both";
  return success();
}

LogicalResult
TensorEncodingAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                                   function_ref<InFlightDiagnostic()> emitError) const {
  size_t dynamic = llvm::count_if(shape, ShapedType::isDynamic);
  if (getWorlds().size() != 2 * dynamic)
    return emitError() << "the shape has " << dynamic << " dynamic dimensions and worlds "
                       << getWorlds().size() / 2 << " pairs";
  return success();
}

void TensorEncodingAttr::print(AsmPrinter &printer) const {
  printer << "<";
  if (!getWorlds().empty()) {
    printer << "worlds = [";
    for (size_t i = 0; i < getWorlds().size(); i += 2)
      printer << (i ? ", [" : "[") << getWorlds()[i] << ", " << getWorlds()[i + 1] << "]";
    printer << "]";
  }
  if (!getDevice().empty()) {
    printer << (getWorlds().empty() ? "" : ", ") << "device = ";
    printer.printString(getDevice());
  }
  printer << ">";
}

Attribute TensorEncodingAttr::parse(AsmParser &parser, Type) {
  SmallVector<int64_t> worlds;
  std::string device;
  auto parsePair = [&]() -> ParseResult {
    int64_t first = 0, second = 0;
    if (parser.parseLSquare() || parser.parseInteger(first) || parser.parseComma() ||
        parser.parseInteger(second) || parser.parseRSquare())
      return failure();
    worlds.append({first, second});
    return success();
  };
  auto parseField = [&]() -> ParseResult {
    if (succeeded(parser.parseOptionalKeyword("worlds")))
      return failure(parser.parseEqual() ||
                     parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parsePair));
    if (succeeded(parser.parseOptionalKeyword("device")))
      return failure(parser.parseEqual() || parser.parseString(&device));
    return parser.emitError(parser.getCurrentLocation(), "expected 'worlds' or 'device'");
  };
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, parseField))
    return {};
  return TensorEncodingAttr::getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                                        worlds, device);
}

//===- bf.dim, bf.size, bf.assert ----------------------------------------------------------===//

LogicalResult DimOp::verify() {
  int64_t rank = getTensor().getType().getRank();
  int64_t index = getIndexAttr().getInt();
  if (index < 0 || index >= rank)
    return emitOpError() << "dimension " << index << " of a tensor of rank " << rank;
  return success();
}

OpFoldResult DimOp::fold(FoldAdaptor) {
  int64_t size = getTensor().getType().getDimSize(getIndexAttr().getInt());
  if (ShapedType::isDynamic(size))
    return {};
  return IntegerAttr::get(getType(), size);
}

LogicalResult SizeOp::verify() {
  if (getWorlds().size() != 2 || getWorlds()[0] == getWorlds()[1])
    return emitOpError() << "has one size in each of the two worlds, and they differ";
  return success();
}

Operation *BfDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type,
                                          Location loc) {
  return arith::ConstantOp::materialize(builder, value, type, loc);
}

LogicalResult AssertOp::canonicalize(AssertOp op, PatternRewriter &rewriter) {
  if (!matchPattern(op.getCondition(), m_One()))
    return failure();
  rewriter.eraseOp(op);
  return success();
}

//===- bf.store, bf.grad -------------------------------------------------------------------===//

LogicalResult StoreOp::verify() {
  auto value = getValue().getType(), target = getTarget().getType();
  if (value.getElementType() != target.getElementType())
    return emitOpError() << "stores " << value.getElementType() << " elements into a tensor of "
                         << target.getElementType();
  if (!isa<BlockArgument>(getTarget()))
    return emitOpError() << "the target is not a tensor that came in";
  return success();
}

LogicalResult GradOp::verify() {
  if (getOutputs().empty())
    return emitOpError() << "has nothing to differentiate";
  if (!getSeeds().empty() && getSeeds().size() != getOutputs().size())
    return emitOpError() << "has " << getSeeds().size() << " seeds for " << getOutputs().size()
                         << " outputs";
  for (auto [seed, output] : llvm::zip(getSeeds(), getOutputs()))
    if (cast<RankedTensorType>(seed.getType()).getRank() !=
        cast<RankedTensorType>(output.getType()).getRank())
      return emitOpError() << "a seed of type " << seed.getType() << " for an output of type "
                           << output.getType();
  if (getWrt().size() != getGradients().size())
    return emitOpError() << "has " << getGradients().size() << " results for " << getWrt().size()
                         << " inputs";
  return success();
}

LogicalResult ReachedOp::verify() {
  if (getWrt().size() != getReached().size())
    return emitOpError() << "has " << getReached().size() << " results for " << getWrt().size()
                         << " inputs";
  return success();
}

//===- bf.pointwise ------------------------------------------------------------------------===//

LogicalResult UnboxOp::verify() {
  Type type = getValue().getType();
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor && !type.isInteger(1) && !type.isInteger(64) && !type.isF64())
    return emitOpError() << "an object is not unboxed as " << type;
  size_t numDynamic = tensor ? tensor.getNumDynamicDims() : 0;
  if (getSizes().size() != numDynamic || numDynamic >= kMostObjectOperands)
    return emitOpError() << "has " << getSizes().size() << " sizes for " << numDynamic
                         << " dynamic dimensions";
  return success();
}

LogicalResult PycallOp::verify() {
  if (getKeywords() && getKeywords()->size() > getInputs().size())
    return emitOpError() << "has " << getKeywords()->size() << " keywords for "
                         << getInputs().size() << " operands";
  for (Type type : getInputs().getTypes())
    if (!isa<RankedTensorType, ObjectType>(type) && !type.isInteger(1) && !type.isInteger(64) &&
        !type.isF64())
      return emitOpError() << "hands " << type << " to Python";
  return success();
}

static bool isElement(Type type) {
  try {
    dtypeOf(type);
    return true;
  } catch (const std::invalid_argument &) {
    return false;
  }
}

LogicalResult PointwiseOp::verify() {
  if (getNumResults() == 0)
    return emitOpError() << "has no result";
  Block *body = getBodyBlock();
  if (body->getNumArguments() != getInputs().size())
    return emitOpError() << "the body has " << body->getNumArguments() << " arguments for "
                         << getInputs().size() << " operands";
  auto space = cast<RankedTensorType>(getResult(0).getType());
  for (Type type : getResultTypes()) {
    auto result = cast<RankedTensorType>(type);
    if (result.getShape() != space.getShape())
      return emitOpError() << "results have different shapes";
    if (isa<ComplexType>(result.getElementType()))
      return emitOpError() << "complex elements are not pointwise groups' business";
    if (!isElement(result.getElementType()))
      return emitOpError() << "tensors have no elements of type " << result.getElementType();
  }
  for (auto [input, argument] : llvm::zip(getInputs(), body->getArguments())) {
    Type expected = bodyTypeOf(input.getType());
    if (!expected.isIntOrFloat() || !isElement(getElementTypeOrSelf(input.getType())))
      return emitOpError() << "an operand of type " << input.getType();
    if (argument.getType() != expected)
      return emitOpError() << "the body takes " << argument.getType() << " for an operand of type "
                           << input.getType();
    auto tensor = dyn_cast<RankedTensorType>(input.getType());
    if (!tensor)
      continue;
    int64_t shift = space.getRank() - tensor.getRank();
    if (shift < 0)
      return emitOpError() << "an operand of higher rank than the results";
    for (int64_t i = 0; i < tensor.getRank(); ++i) {
      int64_t from = tensor.getDimSize(i), to = space.getDimSize(i + shift);
      if (from != to && from != 1)
        return emitOpError() << "an operand of type " << tensor << " does not broadcast to "
                             << space;
    }
  }
  auto yield = dyn_cast<YieldOp>(body->getTerminator());
  if (!yield || yield.getNumOperands() != getNumResults())
    return emitOpError() << "the body must yield " << getNumResults() << " values";
  for (auto [value, type] : llvm::zip(yield.getValues(), getResultTypes()))
    if (value.getType() != bodyTypeOf(type))
      return emitOpError() << "the body yields " << value.getType() << " for a result of type "
                           << type;
  for (Operation &op : body->without_terminator())
    if (op.getNumRegions() != 0 || !isMemoryEffectFree(&op))
      return emitOpError() << "the body holds '" << op.getName()
                           << "', which is not a plain scalar op";
  return success();
}

} // namespace bf
} // namespace bifront

// A parenthesised list of types that may be empty, which `type(...)` alone does not parse.
static ParseResult parseTypeGroup(OpAsmParser &parser, SmallVectorImpl<Type> &types) {
  return parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren,
                                        [&] { return parser.parseType(types.emplace_back()); });
}
static void printTypeGroup(OpAsmPrinter &printer, Operation *, TypeRange types) {
  printer << '(' << types << ')';
}

#define GET_OP_CLASSES
#include "ir/bf_ops.cpp.inc"
