// How `bf.aten` is written and checked.
#include "ir/aten_op.h"

#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bifront::bf {
namespace {

using UnresolvedOperands = SmallVector<OpAsmParser::UnresolvedOperand>;

// Lists in lists beyond this are no schema's, and would overflow the stack.
constexpr unsigned kMaxNesting = 8;

ParseResult parseArg(OpAsmParser &parser, UnresolvedOperands &operands, Attribute &arg,
                     unsigned depth) {
  MLIRContext *context = parser.getContext();
  OpAsmParser::UnresolvedOperand operand;
  OptionalParseResult isOperand = parser.parseOptionalOperand(operand);
  if (isOperand.has_value()) {
    if (failed(*isOperand))
      return failure();
    operands.push_back(operand);
    arg = UnitAttr::get(context);
    return success();
  }
  if (succeeded(parser.parseOptionalKeyword("none"))) {
    arg = NoneAttr::get(context);
    return success();
  }
  SMLoc loc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalLSquare())) {
    if (depth == kMaxNesting)
      return parser.emitError(loc, "lists are nested too deeply");
    SmallVector<Attribute> items;
    if (failed(parser.parseOptionalRSquare())) {
      if (parser.parseCommaSeparatedList(
              [&] { return parseArg(parser, operands, items.emplace_back(), depth + 1); }) ||
          parser.parseRSquare())
        return failure();
    }
    arg = ArrayAttr::get(context, items);
    return success();
  }
  OptionalParseResult isConstant = parser.parseOptionalAttribute(arg);
  if (!isConstant.has_value())
    return parser.emitError(loc, "expected an operand, a constant or a list");
  return *isConstant;
}

void printArg(OpAsmPrinter &printer, Attribute arg, ValueRange operands, unsigned &next) {
  TypeSwitch<Attribute>(arg)
      .Case<UnitAttr>([&](auto) {
        if (next < operands.size())
          printer.printOperand(operands[next++]);
        else
          printer << "<<no operand>>";
      })
      .Case<NoneAttr>([&](auto) { printer << "none"; })
      .Case<ArrayAttr>([&](ArrayAttr list) {
        printer << "[";
        llvm::interleaveComma(list, printer,
                              [&](Attribute item) { printArg(printer, item, operands, next); });
        printer << "]";
      })
      .Case<FloatAttr>([&](FloatAttr number) {
        // Infinities and NaNs are written as bits, which only the type makes a float.
        if (number.getValue().isFinite())
          printer.printAttributeWithoutType(number);
        else
          printer.printAttribute(number);
      })
      .Case<IntegerAttr, StringAttr>([&](auto plain) { printer.printAttributeWithoutType(plain); })
      .Default([&](Attribute other) { printer.printAttribute(other); });
}

// Whether a constant or operand can stand for a schema's argument; null if so, else why not.
const char *mismatch(const SchemaArg &formal, Attribute arg, ValueRange inputs, unsigned &next) {
  if (isa<UnitAttr>(arg)) {
    Type type = inputs[next++].getType();
    // A number may stand for a tensor, as in Python: a "wrapped number" to ATen.
    if (formal.isTensor && !formal.isList &&
        !isa<RankedTensorType, NoneType, IntegerType, FloatType, ComplexType>(type))
      return "takes a tensor";
    return nullptr;
  }
  if (isa<NoneAttr>(arg))
    return formal.isOptional || formal.type == "Generator" ? nullptr : "cannot be none";
  if (auto list = dyn_cast<ArrayAttr>(arg)) {
    if (!formal.isList)
      return "takes no list";
    for (Attribute item : list) {
      if (isa<UnitAttr>(item))
        ++next;
      else if (formal.isTensor && !isa<NoneAttr>(item))
        return "takes a list of tensors";
    }
    return nullptr;
  }
  if (formal.isTensor && !isa<IntegerAttr, FloatAttr, ComplexAttr>(arg))
    return "takes a tensor";
  return nullptr;
}

} // namespace

ParseResult AtenOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr schema;
  SmallVector<Attribute> args;
  UnresolvedOperands operands;
  if (parser.parseAttribute(schema, "schema", result.attributes) ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, [&] {
        return parseArg(parser, operands, args.emplace_back(), 0);
      }))
    return failure();
  result.addAttribute("args", ArrayAttr::get(parser.getContext(), args));
  if (succeeded(parser.parseOptionalKeyword("writes"))) {
    SmallVector<int32_t> written;
    auto parseOne = [&] { return parser.parseInteger(written.emplace_back()); };
    if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseOne))
      return failure();
    result.addAttribute("written", DenseI32ArrayAttr::get(parser.getContext(), written));
  }
  FunctionType types;
  SMLoc typesLoc;
  if (parser.parseOptionalAttrDict(result.attributes) || parser.parseColon() ||
      parser.getCurrentLocation(&typesLoc) || parser.parseType(types))
    return failure();
  result.addTypes(types.getResults());
  return parser.resolveOperands(operands, types.getInputs(), typesLoc, result.operands);
}

void AtenOp::print(OpAsmPrinter &printer) {
  printer << " " << getSchemaAttr() << "(";
  unsigned next = 0;
  llvm::interleaveComma(getArgs(), printer,
                        [&](Attribute arg) { printArg(printer, arg, getInputs(), next); });
  printer << ")";
  if (getWritten()) {
    printer << " writes [";
    llvm::interleaveComma(*getWritten(), printer);
    printer << "]";
  }
  printer.printOptionalAttrDict((*this)->getAttrs(), {"schema", "args", "written"});
  printer << " : ";
  printer.printFunctionalType(getOperation());
}

LogicalResult AtenOp::verify() {
  uint32_t operands = 0;
  try {
    for (Attribute arg : getArgs())
      decodeArg(arg, operands);
  } catch (const std::invalid_argument &error) {
    return emitOpError() << "has " << error.what();
  }
  if (operands != getInputs().size())
    return emitOpError() << "has " << getInputs().size() << " operands, its arguments name "
                         << operands;
  for (TypeRange types : {TypeRange(getOperandTypes()), TypeRange(getResultTypes())}) {
    for (Type type : types) {
      try {
        valueTypeOf(type);
      } catch (const std::invalid_argument &error) {
        return emitOpError() << "has a value of type " << type << ": " << error.what();
      }
    }
  }
  ArrayRef<int32_t> written = getWrittenOperands();
  if (written.size() > getNumResults())
    return emitOpError() << "writes " << written.size() << " operands and has " << getNumResults()
                         << " results";
  for (auto [i, operand] : llvm::enumerate(written)) {
    if (operand < 0 || operand >= int32_t(getInputs().size()))
      return emitOpError() << "writes operand " << operand << " of " << getInputs().size();
    if (!isa<RankedTensorType>(getInputs()[operand].getType()) ||
        !isa<RankedTensorType>(getResult(getNumOwnResults() + i).getType()))
      return emitOpError() << "writes operand " << operand << ", which is not a tensor";
  }
  const Schema *schema = lookupSchema(getSchema());
  if (!schema)
    return success();
  if (getArgs().size() != schema->args.size())
    return emitOpError() << "has " << getArgs().size() << " arguments, its schema "
                         << schema->args.size();
  unsigned next = 0;
  for (auto [formal, arg] : llvm::zip(schema->args, getArgs()))
    if (const char *why = mismatch(formal, arg, getInputs(), next))
      return emitOpError() << "argument '" << formal.name << "' of type " << formal.type << " "
                           << why;
  bool spreads = schema->isVariadicReturn;
  for (const SchemaArg &item : schema->returns)
    spreads |= item.isList;
  if (!spreads && getNumOwnResults() != schema->returns.size())
    return emitOpError() << "has " << getNumOwnResults() << " results of its own, its schema "
                         << schema->returns.size();
  return success();
}

void AtenOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  const Schema *schema = lookupSchema(getSchema());
  OpKind kind = opRow(getSchema()).kind;
  if (kind == OpKind::Random) {
    effects.emplace_back(MemoryEffects::Read::get(), RandomStream::get());
    effects.emplace_back(MemoryEffects::Write::get(), RandomStream::get());
  }
  // Nothing is known of an operator without a schema or from outside PyTorch, and one that neither
  // returns nor writes is called for something else.
  bool foreign = kind == OpKind::Opaque && !getSchema().starts_with("aten::");
  bool opaque = !schema || foreign || kind == OpKind::Assert || getNumResults() == 0;
  if (opaque)
    effects.emplace_back(MemoryEffects::Read::get());
  if (opaque || !writtenOperands(*this).empty())
    effects.emplace_back(MemoryEffects::Write::get());
}

} // namespace bifront::bf
