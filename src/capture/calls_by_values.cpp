// Calls of which tensors' values decide the shape of what they return.
#include "capture/captured_call.h"
#include "capture/symbolic.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace bifront {
namespace {

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

bool isKnown(const c10::SymInt &number) {
  auto *symbol = SymbolicScalar::of(number);
  return !symbol || symbol->isKnown();
}

bool holds(const c10::SymBool &condition) { return condition.guard_bool(__FILE__, __LINE__); }

c10::SymInt boundOf(const c10::IValue &bound, int64_t otherwise) {
  if (bound.isNone())
    return otherwise;
  return bound.isInt() ? c10::SymInt(bound.toInt()) : bound.toSymInt();
}

} // namespace

bool isMask(const at::Tensor &indices) {
  return indices.scalar_type() == at::kBool || indices.scalar_type() == at::kByte;
}

Dim CapturedCall::countOf(const at::Tensor &mask) {
  ProxyImpl *proxy = ProxyImpl::of(mask);
  ValueId value = proxy ? proxy->value() : recording_.outsideTensor(mask);
  Dim *known = recording_.countOf(mask, value), found{{0, 0}};
  if (known && *known != found)
    return *known;
  if (!recording_.decidesSizes())
    found = recording_.freeSize();
  else
    found = decidedSizeOf({"aten::nonzero", {{AtenArg::Operand{0}}}, {}}, {&value, 1},
                          [&](const Dim &rows) {
                            TensorType type;
                            type.dtype = DType::Int64;
                            type.dims = {rows, Dim::fixed(mask.dim())};
                            return std::vector{ValueType::ofTensor(std::move(type))};
                          });
  if (known)
    *known = found;
  return found;
}

// Runs the call to see the size, which is a number that Python knows from there on.
Dim CapturedCall::decidedSizeOf(const AtenCall &call, std::span<const ValueId> operands,
                                const ResultTypes &typesFor) {
  if (recording_.isDry())
    recording_.fail("the shape of a gradient depends on a tensor's values");
  Dim size = recording_.freeSize();
  std::vector<ValueType> types = typesFor(size);
  const std::vector<Dim> &dims = types[0].tensor.dims;
  ValueId value = recording_.graph().aten(call, operands, types, !c10::GradMode::is_enabled())[0];
  auto dim = std::find(dims.begin(), dims.end(), size) - dims.begin();
  c10::SymNode number =
      SymbolicScalar::ofDim(recording_.shared_from_this(), size.world[0], size.world[1], value, dim,
                            Recording::SizeOrigin::Values);
  return Dim::fixed(number->guard_int(__FILE__, __LINE__));
}

std::vector<at::Tensor> CapturedCall::masks() const {
  std::vector<at::Tensor> masks;
  if (traits_.masks || traits_.putsByMask)
    for (const std::optional<at::Tensor> &indices : args_[1].toOptionalTensorVector())
      if (indices && indices->defined() && isMask(*indices))
        masks.push_back(*indices);
  return masks;
}

// A tensor that comes to have one row has another rank, where that dimension is to go.
void CapturedCall::keepDimensions() {
  const at::Tensor &self = args_[0].toTensor();
  auto keep = [&](int64_t dim) {
    if (c10::SymInt size = self.sym_size(dim); auto *symbol = SymbolicScalar::of(size))
      symbol->assumeNotOne();
  };
  if (self.dim() == 0)
    return;
  if (args_.size() < 2)
    for (int64_t dim = 0; dim < self.dim(); ++dim)
      keep(dim);
  else if (args_[1].isInt())
    keep(args_[1].toInt());
  else
    for (int64_t dim : args_[1].toIntVector())
      keep(dim);
}

bool CapturedCall::inferByValues() {
  if (traits_.schema == "aten::repeat_interleave.Tensor" && !args_[1].isNone())
    return apply(traits_.valueRule, {{0, 0}});
  bool isSlice = traits_.slices && (isSlicedByValues() || isGivenForAnySize());
  std::vector<at::Tensor> masks = this->masks();
  if (traits_.putsByMask) {
    // Where sizes are numbers, this one has to be known for the values' gradient.
    if (recording_.decidesSizes() && !recording_.isDry() && args_[2].toTensor().requires_grad())
      for (const at::Tensor &mask : masks)
        countOf(mask);
    return false;
  }
  if (!traits_.valueRule && !isSlice && masks.empty() && !traits_.growsLists)
    return false;
  if (const std::vector<ValueType> *types = recording_.expectedResults()) {
    takeShapes(*types);
    return true;
  }
  if (traits_.growsLists)
    return false; // an argument is the size
  if (isSlice) {
    inferSlice();
    return true;
  }
  for (const at::Tensor &mask : masks) {
    if (mask.dim() == 0)
      recording_.fail("a mask without dimensions is an index");
    counts_.push_back(countOf(mask));
    noteSize(counts_.back());
  }
  if (!masks.empty())
    return false; // what else the indices say is known without the values
  Dim size = sizeByValues();
  noteSize(size);
  if (!apply(traits_.valueRule, size))
    recording_.fail("the shapes that " + traits_.schema + " returns are not known before it runs");
  return true;
}

void CapturedCall::takeShapes(const std::vector<ValueType> &types) {
  for (const ValueType &type : types) {
    Result result{Result::Kind::Tensor, {}, -1, {}};
    result.shapes.push_back(ProxyImpl::Shape::of(type.tensor));
    result.isGiven = true;
    results_.push_back(std::move(result));
  }
}

// All calls that select by one mask find the same size.
Dim CapturedCall::sizeByValues() {
  if (traits_.schema == "aten::nonzero")
    return countOf(args_[0].toTensor());
  if (traits_.schema == "aten::masked_select") {
    const at::Tensor &self = args_[0].toTensor(), &mask = args_[1].toTensor();
    c10::SymIntArrayRef sizes = self.sym_sizes(), maskSizes = mask.sym_sizes();
    bool same = sizes.size() == maskSizes.size();
    for (size_t d = 0; same && d < sizes.size(); ++d)
      for (int world : {0, 1})
        same = same && sizeIn(sizes[d], world) == sizeIn(maskSizes[d], world);
    if (same)
      return countOf(mask);
  }
  if (!recording_.decidesSizes())
    return recording_.freeSize();
  return decidedSizeOf(call_, operands_, [&](const Dim &size) {
    std::vector<ValueType> types;
    noteSize(size);
    if (!apply(traits_.valueRule, size))
      recording_.fail("the shape that " + traits_.schema + " returns is not known before it runs");
    for (const Result &result : std::exchange(results_, {}))
      types.push_back(ValueType::ofTensor(result.shapes[0].type()));
    byValues_ = dynamic_ = false;
    return types;
  });
}

void CapturedCall::noteSize(const Dim &size) {
  byValues_ = byValues_ || size.isDynamic();
  dynamic_ = dynamic_ || size.isDynamic();
}

//===- Slices ------------------------------------------------------------------------------===//

// x[:100] is x where x is shorter, so which side of the bound the size is on must stay as it is.
void CapturedCall::assertSliceBounds() {
  const at::Tensor &self = args_[0].toTensor();
  int64_t dim = args_[1].toInt();
  c10::SymInt size = self.sym_size(dim < 0 ? dim + self.dim() : dim);
  for (const c10::IValue &bound : {args_[2], args_[3]}) {
    c10::SymInt value = boundOf(bound, 0);
    bool varies =
        SymbolicScalar::of(size) || (SymbolicScalar::of(value) && !recording_.isOfDerivative());
    if (bound.isNone() || !varies || value.maybe_as_int() == kEnd)
      continue;
    c10::SymInt fromStart = holds(value.sym_lt(0)) ? size + value : value;
    fromStart.sym_ge(0).guard_bool(__FILE__, __LINE__);
    fromStart.sym_le(size).guard_bool(__FILE__, __LINE__);
  }
}

namespace {

// Of a slice from `start` to `stop`, as Python clips them, without a question.
c10::SymInt clippedLength(int64_t start, int64_t stop, const c10::SymInt &size) {
  auto clip = [&](int64_t bound) {
    if (bound == kEnd || bound == 0)
      return bound == 0 ? c10::SymInt(0) : size;
    return bound > 0 ? size.min(bound) : (size + bound).max(0);
  };
  if (start == 0)
    return clip(stop);
  c10::SymInt length = clip(stop) - clip(start);
  return stop == kEnd ? length : length.max(0);
}

// The same of bounds that may be numbers of the graph.
c10::SymInt clippedLength(const c10::SymInt &start, const c10::SymInt &stop,
                          const c10::SymInt &size) {
  auto clip = [&](const c10::SymInt &bound) {
    c10::SymInt isFromEnd = (-bound).min(1).max(0);
    return (bound + isFromEnd * size).max(0).min(size);
  };
  return (clip(stop) - clip(start)).max(0);
}

} // namespace

bool CapturedCall::isSlicedByValues() const {
  const at::Tensor &self = args_[0].toTensor();
  int64_t dim = args_[1].toInt();
  return !isKnown(self.sym_size(dim < 0 ? dim + self.dim() : dim)) ||
         !isKnown(boundOf(args_[2], 0)) || !isKnown(boundOf(args_[3], kEnd));
}

// How many elements lie between the bounds, as Python clips them.
c10::SymInt CapturedCall::sliceLength(const c10::SymInt &size) {
  c10::SymInt start = boundOf(args_[2], 0), stop = boundOf(args_[3], kEnd);
  auto fromStart = [&](const c10::SymInt &bound) {
    auto plain = bound.maybe_as_int();
    return plain && *plain == kEnd ? size : plain && *plain < 0 ? size + bound : bound;
  };
  auto clip = [&](c10::SymInt bound) {
    if (!bound.maybe_as_int() && holds(bound.sym_lt(0)))
      bound = bound + size;
    return holds(bound.sym_lt(0)) ? c10::SymInt(0) : holds(bound.sym_le(size)) ? bound : size;
  };
  auto step = [&](const c10::SymInt &length) {
    int64_t by = args_[4].isInt() ? args_[4].toInt() : *sizeIn(args_[4].toSymInt(), 0);
    return by == 1 ? length : (length + (by - 1)) / by;
  };
  auto plainStart = start.maybe_as_int(), plainStop = stop.maybe_as_int();
  c10::SymInt asked[2] = {start, stop};
  start = fromStart(start);
  stop = fromStart(stop);
  // One question in place of five.
  auto all = c10::SymBool(true);
  for (const c10::SymBool &usual : {start.sym_ge(0), start.sym_le(stop), stop.sym_le(size)})
    if (usual.maybe_as_bool() != true)
      all = all.maybe_as_bool() == true ? usual : all.sym_and(usual);
  // An answer would hold for some of the calls; and in a branch or a loop nobody may know it.
  bool isAnswered = all.maybe_as_bool() || recording_.isDry() || recording_.decidesSizes();
  if (!isAnswered && plainStart && plainStop)
    return step(clippedLength(*plainStart, *plainStop, size));
  bool isWorthAsking = !recording_.isConditional() || (stop - start).maybe_as_int();
  if (!isAnswered && !isWorthAsking)
    return step(clippedLength(asked[0], asked[1], size));
  if (!holds(all)) {
    start = clip(start);
    stop = clip(stop);
    if (holds(stop.sym_lt(start)))
      return 0;
  }
  return step(start.maybe_as_int() == 0 ? stop : stop - start);
}

void CapturedCall::inferSlice() {
  const at::Tensor &self = args_[0].toTensor();
  int64_t dim = args_[1].toInt();
  dim += dim < 0 ? self.dim() : 0;
  c10::SymInt length = sliceLength(self.sym_size(dim));
  int64_t step = args_[4].isInt() ? args_[4].toInt() : *sizeIn(args_[4].toSymInt(), 0);
  ProxyImpl *proxy = ProxyImpl::of(self);
  Extent extents[2];
  for (int world : {0, 1}) {
    extents[world] = proxy ? proxy->shape().in(world) : Extent::of(self);
    auto size = sizeIn(length, world);
    if (!size)
      size = decidedSize(length);
    if (!size)
      recording_.fail("a slice depends on a tensor's value");
    extents[world].sizes[dim] = *size;
    extents[world].strides[dim] *= step;
    extents[world].wrappedNumber = false;
  }
  byValues_ = dynamic_ = true;
  Result result{Result::Kind::Tensor, {}, -1, {}};
  result.shapes.push_back(shapeOf(std::move(extents[0]), std::move(extents[1])));
  results_.push_back(std::move(result));
}

} // namespace bifront
