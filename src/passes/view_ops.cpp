#include "passes/view_ops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace bifront {
namespace {

// Collects the arguments of a call that is being made.
class CallBuilder {
public:
  CallBuilder(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  CallBuilder &operand(Value value) {
    args.push_back(use(value));
    return *this;
  }
  CallBuilder &integer(int64_t value) {
    args.push_back({value});
    return *this;
  }
  CallBuilder &copied(const AtenArgs &from, size_t index) {
    if (Value value = from.valueAt(index))
      return operand(value);
    args.push_back(from.at(index));
    return *this;
  }
  CallBuilder &sizesOf(Value tensor) {
    auto type = cast<RankedTensorType>(tensor.getType());
    AtenArg::List sizes;
    for (int64_t i = 0; i < type.getRank(); ++i) {
      if (!type.isDynamicDim(i))
        sizes.push_back({type.getDimSize(i)});
      else
        sizes.push_back(use(bf::DimOp::create(builder, loc, builder.getI64Type(), tensor,
                                              builder.getI64IntegerAttr(i))));
    }
    args.push_back({std::move(sizes)});
    return *this;
  }
  Value make(StringRef schema, Type result, bool noGrad) {
    return createAten(builder, loc, schema, args, operands, result, {}, noGrad).getResult(0);
  }

private:
  AtenArg use(Value value) {
    operands.push_back(value);
    return {AtenArg::Operand{uint32_t(operands.size() - 1)}};
  }

  OpBuilder &builder;
  Location loc;
  std::vector<AtenArg> args;
  SmallVector<Value> operands;
};

// Where part `result` of a split lies along `dim`: (start, end), constants or operands.
class SplitRange {
public:
  SplitRange(OpBuilder &builder, bf::AtenOp split, unsigned result, int64_t dim) {
    Value start = constant(builder, split, 0), end;
    for (unsigned k = 0; k <= result; ++k) {
      Value size = builder.createOrFold<bf::DimOp>(
          split.getLoc(), builder.getI64Type(), split.getResult(k), builder.getI64IntegerAttr(dim));
      end = builder.createOrFold<arith::AddIOp>(split.getLoc(), start, size);
      if (k < result)
        start = end;
    }
    first = start, last = end;
  }
  Value first, last;

private:
  static Value constant(OpBuilder &builder, bf::AtenOp split, int64_t value) {
    return arith::ConstantOp::create(builder, split.getLoc(), builder.getI64IntegerAttr(value));
  }
};

// Where each dimension went; none unless `dims` names all of them once.
std::optional<AtenArg::List> inversePermutation(const AtenArg::List &dims) {
  int64_t rank = dims.size();
  AtenArg::List inverse(rank);
  for (int64_t i = 0; i < rank; ++i) {
    auto *dim = std::get_if<int64_t>(&dims[i].value);
    if (!dim || *dim < -rank || *dim >= rank)
      return std::nullopt;
    AtenArg &place = inverse[*dim < 0 ? *dim + rank : *dim];
    if (!std::holds_alternative<AtenArg::None>(place.value))
      return std::nullopt;
    place = {i};
  }
  return inverse;
}

} // namespace

Value reshapeLike(OpBuilder &builder, Location loc, Value value, Value like) {
  auto to = cast<RankedTensorType>(like.getType());
  auto from = cast<RankedTensorType>(value.getType());
  auto type = RankedTensorType::get(to.getShape(), from.getElementType(), to.getEncoding());
  if (type == from)
    return value;
  return CallBuilder(builder, loc).operand(value).sizesOf(like).make("aten::reshape", type, false);
}

Value takeView(OpBuilder &builder, bf::AtenOp view, unsigned result, Value base) {
  auto copy = cast<bf::AtenOp>(builder.clone(*view.getOperation()));
  copy->setOperand(0, base);
  // New contents need not lie in memory as the old ones did; reshape copies where it must.
  StringRef schema = view.getSchema();
  if (schema == "aten::view" || schema == "aten::_unsafe_view")
    copy.setSchema("aten::reshape");
  return copy.getResult(result);
}

Value putView(OpBuilder &builder, bf::AtenOp view, unsigned result, Value base, Value contents) {
  Location loc = view.getLoc();
  AtenArgs args(view);
  StringRef name = view.getBaseName();
  Type baseType = base.getType();
  bool noGrad = view.getNoGrad();
  auto call = [&] { return CallBuilder(builder, loc); };
  if (name == "aten::detach" || name == "aten::alias" || name == "aten::lift_fresh")
    return contents;
  if (name == "aten::expand" && contents.getType() == baseType)
    return contents;
  if (view.getSchema() == "aten::view" || name == "aten::_unsafe_view" || name == "aten::reshape" ||
      name == "aten::_reshape_alias" || name == "aten::squeeze" || name == "aten::unsqueeze")
    return reshapeLike(builder, loc, contents, base);
  if (name == "aten::transpose" && view.getSchema() == "aten::transpose.int")
    return call().operand(contents).copied(args, 1).copied(args, 2).make("aten::transpose.int",
                                                                         baseType, noGrad);
  if (name == "aten::t")
    return call().operand(contents).make("aten::t", baseType, noGrad);
  if (name == "aten::permute") {
    auto *dims = std::get_if<AtenArg::List>(&args.at(1).value);
    if (!dims)
      return {};
    std::optional<AtenArg::List> inverse = inversePermutation(*dims);
    if (!inverse)
      return {};
    return createAten(builder, loc, "aten::permute", {{AtenArg::Operand{0}}, {std::move(*inverse)}},
                      contents, baseType, {}, noGrad)
        .getResult(0);
  }
  if (view.getSchema() == "aten::select.int")
    return call().operand(base).operand(contents).copied(args, 1).copied(args, 2).make(
        "aten::select_scatter", baseType, noGrad);
  if (view.getSchema() == "aten::slice.Tensor")
    return call()
        .operand(base)
        .operand(contents)
        .copied(args, 1)
        .copied(args, 2)
        .copied(args, 3)
        .copied(args, 4)
        .make("aten::slice_scatter", baseType, noGrad);
  if (view.getSchema() == "aten::diagonal")
    return call()
        .operand(base)
        .operand(contents)
        .copied(args, 1)
        .copied(args, 2)
        .copied(args, 3)
        .make("aten::diagonal_scatter", baseType, noGrad);
  if (view.getSchema() == "aten::unbind.int")
    return call().operand(base).operand(contents).copied(args, 1).integer(result).make(
        "aten::select_scatter", baseType, noGrad);
  if (view.getSchema() == "aten::split.Tensor" || view.getSchema() == "aten::split_with_sizes") {
    std::optional<int64_t> dim = args.intNamed("dim");
    int64_t rank = cast<RankedTensorType>(baseType).getRank();
    auto ofRank = [rank](Type part) { return cast<RankedTensorType>(part).getRank() == rank; };
    if (!dim || *dim < -rank || *dim >= rank || !llvm::all_of(view->getResultTypes(), ofRank))
      return {};
    int64_t positive = *dim < 0 ? *dim + rank : *dim;
    SplitRange range(builder, view, result, positive);
    return call()
        .operand(base)
        .operand(contents)
        .integer(positive)
        .operand(range.first)
        .operand(range.last)
        .integer(1)
        .make("aten::slice_scatter", baseType, noGrad);
  }
  if (name == "aten::view_as_real")
    return call().operand(contents).make("aten::view_as_complex", baseType, noGrad);
  if (name == "aten::view_as_complex")
    return call().operand(contents).make("aten::view_as_real", baseType, noGrad);
  return {};
}

} // namespace bifront
