#include "capture/shape_rules.h"

#include "capture/capture_error.h"
#include "capture/proxy.h"
#include "capture/symbolic.h"
#include "runtime/random_states.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <unordered_map>

namespace bifront {

//===- Arguments ---------------------------------------------------------------------------===//

bool RuleCall::isNone(size_t index) const {
  return args_[index].isNone() || (args_[index].isTensor() && !args_[index].toTensor().defined());
}

const Extent *RuleCall::tensor(size_t index) {
  if (isNone(index))
    return nullptr;
  return extentOf(args_[index].toTensor());
}

const Extent *RuleCall::extentOf(const at::Tensor &tensor) {
  if (ProxyImpl *proxy = ProxyImpl::of(tensor))
    return &proxy->shape().in(world_);
  outside_.push_back(std::make_unique<Extent>(Extent::of(tensor)));
  return outside_.back().get();
}

std::vector<const Extent *> RuleCall::tensors(size_t index) {
  std::vector<const Extent *> extents;
  for (const c10::IValue &value : args_[index].toListRef()) {
    if (value.isNone() || !value.toTensor().defined())
      return {};
    extents.push_back(extentOf(value.toTensor()));
  }
  return extents;
}

bool RuleCall::isUsualLayout(size_t index) const {
  return args_[index].isNone() || args_[index].toLayout() == at::kStrided;
}

bool RuleCall::isUsualFormat(size_t index) const {
  if (args_[index].isNone())
    return true;
  return format(index) == at::MemoryFormat::Contiguous ||
         format(index) == at::MemoryFormat::Preserve;
}

int64_t RuleCall::integer(size_t index) const {
  const c10::IValue &value = args_[index];
  if (value.isInt())
    return value.toInt();
  if (auto size = sizeIn(value.toSymInt(), world_))
    return *size;
  if (auto size = decidedSize(value.toSymInt()))
    return *size;
  throw CaptureError("a shape depends on a tensor's value");
}

bool RuleCall::isByValues(size_t index) const {
  auto *symbol = args_[index].isSymInt() ? SymbolicScalar::of(args_[index].toSymInt()) : nullptr;
  return symbol && !symbol->isKnown();
}

Dims RuleCall::integers(size_t index) const {
  Dims numbers;
  for (const c10::IValue &value : args_[index].toListRef()) {
    auto size = value.isInt() ? std::optional(value.toInt()) : sizeIn(value.toSymInt(), world_);
    if (!size)
      size = decidedSize(value.toSymInt());
    if (!size)
      throw CaptureError("a shape depends on a tensor's value");
    numbers.push_back(*size);
  }
  return numbers;
}

std::vector<bool> RuleCall::flags(size_t index) const {
  std::vector<bool> flags;
  for (const c10::IValue &value : args_[index].toListRef())
    flags.push_back(value.toBool());
  return flags;
}

std::optional<at::ScalarType> RuleCall::dtype(size_t index) const {
  if (args_[index].isNone())
    return std::nullopt;
  return args_[index].toScalarType();
}

//===- Rules -------------------------------------------------------------------------------===//

namespace {

// Rows in the usual order.
bool isUsual(const Extent *tensor) {
  return tensor && tensor->isContiguous() &&
         suggestedFormat(*tensor) == at::MemoryFormat::Contiguous && !tensor->wrappedNumber;
}

// Also of a dtype whose sums have the same: where most rules below hold.
bool isPlain(const Extent *tensor) {
  return isUsual(tensor) && (tensor->dtype == at::kFloat || tensor->dtype == at::kDouble);
}

// Of a dtype whose kernels keep statistics in it, too.
bool isFloat(const Extent *tensor) {
  return tensor && !tensor->wrappedNumber &&
         (tensor->dtype == at::kFloat || tensor->dtype == at::kDouble ||
          tensor->dtype == at::kBFloat16);
}

bool isFloatOrAbsent(const Extent *tensor, at::ScalarType dtype) {
  return !tensor || (isFloat(tensor) && tensor->dtype == dtype);
}

Extent plain(c10::IntArrayRef sizes, at::ScalarType dtype) {
  return Extent::contiguous(sizes, dtype);
}

// In-place ops whose operand alone says all.
bool writesSelf(RuleCall &call) { return call.tensor(0) != nullptr; }

// A number never makes more of a float tensor.
bool writesFloat(RuleCall &call) { return isFloat(call.tensor(0)); }

bool pointwise(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!isFloat(self))
    return false;
  call.returns(Extent::ofPointwise(*self));
  return true;
}

// sum and mean over all.
template <bool ofIntegersToo> bool reduceAll(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!self)
    return false;
  at::ScalarType dtype = call.dtype(1).value_or(self->dtype);
  if (!call.dtype(1) && ofIntegersToo && c10::isIntegralType(dtype, true))
    dtype = at::kLong;
  if (!c10::isFloatingType(dtype) && !ofIntegersToo)
    return false;
  call.returns(plain({}, dtype));
  return true;
}

// (self, dim, dtype)
bool softmax(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!isPlain(self) || call.dtype(2))
    return false;
  call.returns(plain(self->sizes, self->dtype));
  return true;
}

// The convolutions that the rules know: no empty ones, and of the layouts in volumes only the
// usual.
bool convolves(const Extent *input, const Extent *weight) {
  return isFloat(input) && isFloat(weight) && input->dtype == weight->dtype &&
         input->dim() == weight->dim() && input->dim() >= 3 && input->numel() != 0 &&
         (input->dim() == 4 || (isPlain(input) && isPlain(weight)));
}

// Channels come last where they do in the input or in the weights.
at::MemoryFormat formatOf(const Extent &input, const Extent &weight) {
  at::MemoryFormat format = suggestedFormat(input);
  return format == at::MemoryFormat::Contiguous ? suggestedFormat(weight) : format;
}

// (input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
bool convolution(RuleCall &call) {
  const Extent *input = call.tensor(0), *weight = call.tensor(1);
  if (!convolves(input, weight) || call.flag(6) || !isFloatOrAbsent(call.tensor(2), input->dtype))
    return false;
  Dims stride = call.integers(3), padding = call.integers(4), dilation = call.integers(5);
  int64_t spatial = input->dim() - 2;
  if (input->sizes[1] != weight->sizes[1] * call.integer(8))
    return false;
  auto at = [&](const Dims &numbers, int64_t d) { return numbers[numbers.size() == 1 ? 0 : d]; };
  for (const Dims *numbers : {&stride, &padding, &dilation})
    if (numbers->size() != 1 && static_cast<int64_t>(numbers->size()) != spatial)
      return false;
  Dims sizes{input->sizes[0], weight->sizes[0]};
  for (int64_t d = 0; d < spatial; ++d) {
    int64_t reach = at(dilation, d) * (weight->sizes[d + 2] - 1) + 1;
    int64_t room = input->sizes[d + 2] + 2 * at(padding, d) - reach;
    if (room < 0)
      return false;
    sizes.push_back(room / at(stride, d) + 1);
  }
  call.returns(Extent::inFormat(sizes, input->dtype, formatOf(*input, *weight)));
  return true;
}

// Returns `extent` where the mask asks for it.
void returnIf(RuleCall &call, bool wanted, Extent extent) {
  if (wanted)
    call.returns(std::move(extent));
  else
    call.returnsNothing();
}

// What ATen finds oneDNN too slow for on one thread. The stride is the fifth argument, the dilation
// the seventh.
bool isSmallAndOfOnePixel(RuleCall &call, const Extent &input, const Extent &weight) {
  auto isOne = [](int64_t number) { return number == 1; };
  auto areOnes = [&](const Dims &numbers) { return std::ranges::all_of(numbers, isOne); };
  constexpr int64_t kManyRows = 16;
  return at::get_num_threads() == 1 && input.dtype == at::kFloat && input.sizes[0] < kManyRows &&
         input.dim() == 4 && isOne(weight.sizes[2]) && isOne(weight.sizes[3]) &&
         areOnes(call.integers(4)) && areOnes(call.integers(6));
}

// (grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding,
//  groups, output_mask)
bool convolutionBackward(RuleCall &call) {
  const Extent *grad = call.tensor(0), *input = call.tensor(1), *weight = call.tensor(2);
  if (!isFloat(grad) || !convolves(input, weight) || call.flag(7))
    return false;
  at::MemoryFormat format = formatOf(*input, *weight);
  std::vector<bool> mask = call.flags(10);
  // ATen's own kernels keep strides that will do; oneDNN's results are made anew.
  bool isByAten = input->dtype == at::kDouble || isSmallAndOfOnePixel(call, *input, *weight);
  auto gradientOf = [&](const Extent &of) {
    bool keeps = isByAten && format == at::MemoryFormat::ChannelsLast && of.isChannelsLast();
    return keeps ? of : Extent::inFormat(of.sizes, of.dtype, format);
  };
  returnIf(call, mask[0], gradientOf(*input));
  returnIf(call, mask[1], gradientOf(*weight));
  returnIf(call, mask[2], plain({weight->sizes[0]}, weight->dtype));
  return true;
}

// (input, weight, bias, running_mean, running_var, training, momentum, eps)
bool batchNorm(RuleCall &call) {
  const Extent *input = call.tensor(0);
  if (!isFloat(input) || input->dim() < 2 || input->numel() == 0)
    return false;
  for (size_t i = 1; i < 5; ++i)
    if (!isFloatOrAbsent(call.tensor(i), input->dtype))
      return false;
  int64_t saved = call.flag(5) ? input->sizes[1] : 0;
  call.returns(Extent::inFormat(input->sizes, input->dtype, suggestedFormat(*input)));
  call.returns(plain({saved}, input->dtype));
  call.returns(plain({saved}, input->dtype));
  return true;
}

// (grad_out, input, weight, running_mean, running_var, save_mean, save_invstd, train, eps,
// output_mask)
bool batchNormBackward(RuleCall &call) {
  const Extent *grad = call.tensor(0), *input = call.tensor(1), *weight = call.tensor(2);
  if (!isFloat(grad) || !isFloat(input) || input->dim() < 2 || input->numel() == 0 ||
      !isFloatOrAbsent(weight, input->dtype))
    return false;
  std::vector<bool> mask = call.flags(9);
  returnIf(call, mask[0], Extent::inFormat(input->sizes, input->dtype, suggestedFormat(*input)));
  returnIf(call, mask[1], plain({input->sizes[1]}, input->dtype));
  returnIf(call, mask[2], plain({input->sizes[1]}, input->dtype));
  return true;
}

// (input, normalized_shape, weight, bias, eps)
bool layerNorm(RuleCall &call) {
  const Extent *input = call.tensor(0);
  Dims normalized = call.integers(1);
  if (!isFloat(input) || normalized.size() > input->sizes.size() || input->numel() == 0)
    return false;
  for (size_t i : {2, 3})
    if (!isFloatOrAbsent(call.tensor(i), input->dtype))
      return false;
  Dims statistics = input->sizes;
  for (size_t d = input->sizes.size() - normalized.size(); d < statistics.size(); ++d)
    statistics[d] = 1;
  call.returns(plain(input->sizes, input->dtype));
  call.returns(plain(statistics, input->dtype));
  call.returns(plain(statistics, input->dtype));
  return true;
}

// (grad_out, input, normalized_shape, mean, rstd, weight, bias, output_mask)
bool layerNormBackward(RuleCall &call) {
  const Extent *grad = call.tensor(0), *input = call.tensor(1);
  const Extent *weight = call.tensor(5), *bias = call.tensor(6);
  std::vector<bool> mask = call.flags(7);
  if (!isFloat(grad) || !isFloat(input) || input->numel() == 0 || (mask[1] && !isPlain(weight)) ||
      (mask[2] && !isPlain(bias)))
    return false;
  returnIf(call, mask[0], plain(input->sizes, input->dtype));
  returnIf(call, mask[1], weight ? *weight : Extent());
  returnIf(call, mask[2], bias ? *bias : Extent());
  return true;
}

// (weight, indices, ...)
bool embedding(RuleCall &call) {
  const Extent *weight = call.tensor(0), *indices = call.tensor(1);
  if (!isUsual(weight) || !isUsual(indices) || weight->dim() != 2)
    return false;
  Dims sizes = indices->sizes;
  sizes.push_back(weight->sizes[1]);
  call.returns(plain(sizes, weight->dtype));
  return true;
}

// (input, weight, bias, N, C, HxW, group, eps)
bool groupNorm(RuleCall &call) {
  const Extent *input = call.tensor(0);
  if (!isPlain(input) || input->numel() == 0 || !isFloatOrAbsent(call.tensor(1), input->dtype) ||
      !isFloatOrAbsent(call.tensor(2), input->dtype))
    return false;
  Dims statistics{call.integer(3), call.integer(6)};
  call.returns(plain(input->sizes, input->dtype));
  call.returns(plain(statistics, input->dtype));
  call.returns(plain(statistics, input->dtype));
  return true;
}

// (grad_out, input, mean, rstd, weight, N, C, HxW, group, output_mask)
bool groupNormBackward(RuleCall &call) {
  const Extent *grad = call.tensor(0), *input = call.tensor(1), *weight = call.tensor(4);
  if (!isPlain(grad) || !isPlain(input) || input->numel() == 0 ||
      !isFloatOrAbsent(weight, input->dtype))
    return false;
  std::vector<bool> mask = call.flags(9);
  Dims channels{call.integer(6)};
  returnIf(call, mask[0], plain(input->sizes, input->dtype));
  returnIf(call, mask[1], plain(channels, input->dtype));
  returnIf(call, mask[2], plain(channels, input->dtype));
  return true;
}

// The result of a pointwise op over operands in the usual order, of which one has all elements.
std::optional<Dims> broadcast(std::initializer_list<const Extent *> operands) {
  const Extent *largest = nullptr;
  for (const Extent *operand : operands) {
    if (!isUsual(operand))
      return std::nullopt;
    bool isLarger = !largest || operand->dim() > largest->dim() ||
                    (operand->dim() == largest->dim() && operand->numel() > largest->numel());
    largest = isLarger ? operand : largest;
  }
  for (const Extent *operand : operands)
    for (int64_t d = 0; d < operand->dim(); ++d) {
      int64_t size = operand->sizes[operand->dim() - 1 - d];
      if (size != 1 && size != largest->sizes[largest->dim() - 1 - d])
        return std::nullopt;
    }
  return largest->sizes;
}

// (condition, self, other)
bool where(RuleCall &call) {
  const Extent *self = call.tensor(1), *other = call.tensor(2);
  auto sizes = broadcast({call.tensor(0), self, other});
  if (!sizes || self->dtype != other->dtype)
    return false;
  call.returns(plain(*sizes, self->dtype));
  return true;
}

bool compareTwo(RuleCall &call) {
  auto sizes = broadcast({call.tensor(0), call.tensor(1)});
  if (!sizes)
    return false;
  call.returns(plain(*sizes, at::kBool));
  return true;
}

bool compareOne(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!isUsual(self))
    return false;
  call.returns(plain(self->sizes, at::kBool));
  return true;
}

// (self, mask, value)
bool maskedFill(RuleCall &call) {
  const Extent *self = call.tensor(0);
  auto sizes = broadcast({self, call.tensor(1)});
  if (!sizes || *sizes != self->sizes)
    return false;
  call.returns(plain(self->sizes, self->dtype));
  return true;
}

// A copy of self of which a part is changed.
bool changedCopy(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!isUsual(self))
    return false;
  call.returns(plain(self->sizes, self->dtype));
  return true;
}

// (self, number, ...): a number never makes more of a float tensor.
bool byNumber(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!isFloat(self) || call.isComplex(1))
    return false;
  call.returns(Extent::ofPointwise(*self));
  return true;
}

// The same, where eager refuses a bool.
bool lessNumber(RuleCall &call) {
  if (call.isBool(1))
    throw CaptureError("a bool and a tensor are subtracted");
  return byNumber(call);
}

// Like self in all but what is given: dtype, layout, device, pin_memory, then perhaps one that
// changes nothing, and memory_format.
template <size_t dtypeAt, size_t formatAt = dtypeAt + 4> bool likeGiven(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!isUsual(self) || !call.isUsualLayout(dtypeAt + 1) || !call.isUsualFormat(formatAt))
    return false;
  call.returns(plain(self->sizes, call.dtype(dtypeAt).value_or(self->dtype)));
  return true;
}

// (self, size, ..., dtype, layout, ...)
template <size_t dtypeAt> bool newOfSize(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!self || !call.isUsualLayout(dtypeAt + 1))
    return false;
  call.returns(plain(call.integers(1), call.dtype(dtypeAt).value_or(self->dtype)));
  return true;
}

// (self, memory_format)
bool clone(RuleCall &call) {
  const Extent *self = call.tensor(0);
  bool becomesUsual = !call.isNone(1) && call.format(1) == at::MemoryFormat::Contiguous;
  if (!self || self->wrappedNumber || !(becomesUsual || (isUsual(self) && call.isUsualFormat(1))))
    return false;
  call.returns(plain(self->sizes, self->dtype));
  return true;
}

// (grad_output, input_sizes, ...): zeros with the gradient somewhere in them.
bool scatteredGradient(RuleCall &call) {
  const Extent *grad = call.tensor(0);
  if (!grad)
    return false;
  call.returns(plain(call.integers(1), grad->dtype));
  return true;
}

// (input, p, train)
bool nativeDropout(RuleCall &call) {
  const Extent *input = call.tensor(0);
  if (!isPlain(input) || input->numel() == 0)
    return false;
  call.returns(plain(input->sizes, input->dtype));
  call.returns(plain(input->sizes, at::kBool));
  return true;
}

// (self, indices, ...): one tensor of positions in the first dimension.
bool indexFirst(RuleCall &call) {
  const Extent *self = call.tensor(0);
  std::vector<const Extent *> indices = call.tensors(1);
  if (!isUsual(self) || self->dim() == 0 || indices.size() != 1 || !isUsual(indices[0]) ||
      indices[0]->dtype != at::kLong)
    return false;
  Dims sizes = indices[0]->sizes;
  sizes.append(self->sizes.begin() + 1, self->sizes.end());
  call.returns(plain(sizes, self->dtype));
  return true;
}

// (self, k, dim, largest, sorted); a `k` that values decide is not compared with the size.
bool topK(RuleCall &call) {
  const Extent *self = call.tensor(0);
  int64_t k = call.integer(1), dim = call.integer(2);
  dim += dim < 0 && self ? self->dim() : 0;
  if (!isUsual(self) || dim < 0 || dim >= self->dim())
    return false;
  if (!call.isByValues(1) && (k < 0 || k > self->sizes[dim]))
    return false;
  Dims sizes = self->sizes;
  sizes[dim] = k;
  call.returns(plain(sizes, self->dtype));
  call.returns(plain(sizes, at::kLong));
  return true;
}

// (tensors, dim)
bool stack(RuleCall &call) {
  std::vector<const Extent *> tensors = call.tensors(0);
  if (tensors.empty())
    return false;
  const Extent &first = *tensors[0];
  for (const Extent *tensor : tensors)
    if (!isUsual(tensor) || tensor->sizes != first.sizes || tensor->dtype != first.dtype)
      return false;
  int64_t dim = call.integer(1);
  dim += dim < 0 ? first.dim() + 1 : 0;
  if (dim < 0 || dim > first.dim())
    return false;
  Dims sizes = first.sizes;
  sizes.insert(sizes.begin() + dim, static_cast<int64_t>(tensors.size()));
  call.returns(plain(sizes, first.dtype));
  return true;
}

// (self, repeats)
bool repeat(RuleCall &call) {
  const Extent *self = call.tensor(0);
  Dims sizes = call.integers(1);
  if (!isUsual(self) || static_cast<int64_t>(sizes.size()) < self->dim())
    return false;
  size_t added = sizes.size() - self->sizes.size();
  for (size_t d = 0; d < self->sizes.size(); ++d)
    sizes[added + d] *= self->sizes[d];
  for (int64_t size : sizes)
    if (size < 0)
      return false;
  call.returns(plain(sizes, self->dtype));
  return true;
}

// (self, pad, value)
bool pad(RuleCall &call) {
  const Extent *self = call.tensor(0);
  Dims pad = call.integers(1);
  if (!isUsual(self) || pad.size() % 2 != 0 || pad.size() / 2 > self->sizes.size())
    return false;
  Dims sizes = self->sizes;
  for (size_t k = 0; k < pad.size(); ++k)
    sizes[sizes.size() - 1 - k / 2] += pad[k];
  for (int64_t size : sizes)
    if (size < 0)
      return false;
  call.returns(plain(sizes, self->dtype));
  return true;
}

// (self, output_size)
bool adaptivePool(RuleCall &call) {
  const Extent *self = call.tensor(0);
  Dims pooled = call.integers(1), sizes;
  if (!isPlain(self) || self->numel() == 0 || self->dim() < 3 || pooled.size() != 2)
    return false;
  sizes.append(self->sizes.begin(), self->sizes.end() - 2);
  sizes.append(pooled.begin(), pooled.end());
  call.returns(plain(sizes, self->dtype));
  return true;
}

// (grad_output, self)
bool likeSecond(RuleCall &call) {
  const Extent *grad = call.tensor(0), *self = call.tensor(1);
  if (!isPlain(grad) || !isPlain(self) || self->numel() == 0)
    return false;
  call.returns(plain(self->sizes, self->dtype));
  return true;
}

// (grad_output, self), in whatever order `self` lies.
bool contiguousLikeSecond(RuleCall &call) {
  const Extent *self = call.tensor(1);
  call.returns(plain(self->sizes, self->dtype));
  return true;
}

// (self, target, p, margin, weight, reduction)
bool lossOfRows(RuleCall &call) {
  const Extent *self = call.tensor(0);
  bool isEachRows = call.integer(5) == at::Reduction::None && self->dim() == 2;
  call.returns(plain(isEachRows ? Dims{self->sizes[0]} : Dims{}, self->dtype));
  return true;
}

// (self, target, ...) with what to do with the elements' losses at `reductionAt`.
template <size_t reductionAt> bool loss(RuleCall &call) {
  const Extent *self = call.tensor(0), *target = call.tensor(1);
  if (!isPlain(self) || !isPlain(target) || self->sizes != target->sizes ||
      self->dtype != target->dtype)
    return false;
  for (size_t weight = 2; weight < reductionAt; ++weight)
    if (!call.isNone(weight))
      return false;
  call.returns(
      plain(call.integer(reductionAt) == 0 ? c10::IntArrayRef(self->sizes) : c10::IntArrayRef(),
            self->dtype));
  return true;
}

// (grad_output, self, target, ...)
bool lossBackward(RuleCall &call) {
  const Extent *self = call.tensor(1), *target = call.tensor(2);
  if (!call.tensor(0) || !isPlain(self) || !isPlain(target) || self->sizes != target->sizes ||
      self->dtype != target->dtype)
    return false;
  call.returns(plain(self->sizes, self->dtype));
  return true;
}

// (self, dim, correction, keepdim), `count` results.
template <int count> bool variance(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!isPlain(self))
    return false;
  std::vector<bool> reduced(self->sizes.size(), call.isNone(1));
  if (!call.isNone(1)) {
    Dims dims = call.integers(1);
    if (dims.empty())
      reduced.assign(reduced.size(), true);
    for (int64_t dim : dims) {
      dim += dim < 0 ? self->dim() : 0;
      if (dim < 0 || dim >= self->dim())
        return false;
      reduced[dim] = true;
    }
  }
  Dims sizes;
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d])
      sizes.push_back(self->sizes[d]);
    else if (call.flag(3))
      sizes.push_back(1);
  }
  for (int i = 0; i < count; ++i)
    call.returns(plain(sizes, self->dtype));
  return true;
}

// Of attention's operands and results: heads lie within positions.
Extent headsWithin(c10::IntArrayRef sizes, at::ScalarType dtype) {
  Dims order{0, 2, 1};
  if (sizes.size() == 4)
    order.push_back(3);
  return Extent::inOrder(sizes, dtype, order);
}

bool isAttention(const Extent *query, const Extent *key, const Extent *value) {
  for (const Extent *operand : {query, key, value})
    if (!isFloat(operand) || operand->dim() != 4 || operand->numel() == 0 ||
        operand->dtype != query->dtype)
      return false;
  return true;
}

// (query, key, value, ...)
bool flashAttention(RuleCall &call) {
  const Extent *query = call.tensor(0);
  if (!isAttention(query, call.tensor(1), call.tensor(2)) || !query->isNonOverlappingAndDense())
    return false;
  at::ScalarType statistics = query->dtype == at::kDouble ? at::kDouble : at::kFloat;
  call.returns(*query);
  call.returns(headsWithin({query->sizes.data(), 3}, statistics));
  return true;
}

// (grad_out, query, key, value, ...)
bool flashAttentionBackward(RuleCall &call) {
  if (!isAttention(call.tensor(1), call.tensor(2), call.tensor(3)))
    return false;
  for (size_t operand : {1, 2, 3})
    call.returns(headsWithin(call.tensor(operand)->sizes, call.tensor(operand)->dtype));
  return true;
}

// (grad_output, indices, num_weights, padding_idx, scale_grad_by_freq)
bool embeddingBackward(RuleCall &call) {
  const Extent *grad = call.tensor(0);
  if (!grad || grad->dim() == 0)
    return false;
  call.returns(plain({call.integer(2), grad->sizes.back()}, grad->dtype));
  return true;
}

bool noResult(RuleCall & /*call*/) { return true; }

bool randomState(RuleCall &call) {
  call.returns(Extent::contiguous({randomStateBytes()}, at::kByte));
  return true;
}

const std::unordered_map<std::string_view, ShapeRule> &rules() {
  static const std::unordered_map<std::string_view, ShapeRule> table = {
      {"aten::relu", pointwise},
      {"aten::abs", pointwise},
      {"aten::mul_.Scalar", writesFloat},
      {"aten::div_.Scalar", writesFloat},
      {"aten::add_.Scalar", writesFloat},
      {"aten::sub_.Scalar", writesFloat},
      {"aten::relu_", writesSelf},
      {"aten::bernoulli_.float", writesSelf},
      {"aten::uniform_", writesSelf},
      {"aten::normal_", writesSelf},
      {"aten::zero_", writesSelf},
      {"aten::fill_.Scalar", writesSelf},
      {"aten::sum", reduceAll<true>},
      {"aten::mean", reduceAll<false>},
      {"aten::_safe_softmax", softmax},
      {"aten::convolution", convolution},
      {"aten::convolution_backward", convolutionBackward},
      {"aten::native_batch_norm", batchNorm},
      {"aten::native_batch_norm_backward", batchNormBackward},
      {"aten::native_layer_norm", layerNorm},
      {"aten::native_layer_norm_backward", layerNormBackward},
      {"aten::embedding", embedding},
      {"aten::embedding_dense_backward", embeddingBackward},
      {"aten::native_group_norm", groupNorm},
      {"aten::native_group_norm_backward", groupNormBackward},
      {"aten::native_dropout", nativeDropout},
      {"aten::where.self", where},
      {"aten::logical_and", compareTwo},
      {"aten::logical_or", compareTwo},
      {"aten::logical_xor", compareTwo},
      {"aten::logical_not", compareOne},
      {"aten::masked_fill.Scalar", maskedFill},
      {"aten::masked_fill.Tensor", maskedFill},
      {"aten::masked_fill_.Scalar", writesSelf},
      {"aten::masked_fill_.Tensor", writesSelf},
      {"aten::index.Tensor", indexFirst},
      {"aten::index_put", changedCopy},
      {"aten::index_put_", writesSelf},
      {"aten::select_scatter", changedCopy},
      {"aten::slice_scatter", changedCopy},
      {"bifront::get_rng_state", randomState},
      {"bifront::set_rng_state", noResult},
      {"bifront::manual_seed", noResult},
      {"aten::select_backward", scatteredGradient},
      {"aten::slice_backward", scatteredGradient},
      {"aten::add.Scalar", byNumber},
      {"aten::sub.Scalar", lessNumber},
      {"aten::rsub.Scalar", lessNumber},
      {"aten::mul.Scalar", byNumber},
      {"aten::div.Scalar", byNumber},
      {"aten::remainder.Scalar", byNumber},
      {"aten::empty_like", likeGiven<1>},
      {"aten::zeros_like", likeGiven<1>},
      {"aten::ones_like", likeGiven<1>},
      {"aten::rand_like", likeGiven<1>},
      {"aten::randn_like", likeGiven<1>},
      {"aten::full_like", likeGiven<2>},
      {"aten::_to_copy", likeGiven<1, 6>},
      {"aten::clone", clone},
      {"aten::new_empty", newOfSize<2>},
      {"aten::new_zeros", newOfSize<2>},
      {"aten::new_ones", newOfSize<2>},
      {"aten::new_full", newOfSize<3>},
      {"aten::topk", topK},
      {"aten::stack", stack},
      {"aten::repeat", repeat},
      {"aten::flip", changedCopy},
      {"aten::roll", changedCopy},
      {"aten::constant_pad_nd", pad},
      {"aten::_adaptive_avg_pool2d", adaptivePool},
      {"aten::_adaptive_avg_pool2d_backward", likeSecond},
      {"aten::_ctc_loss_backward.Tensor", contiguousLikeSecond},
      {"aten::multi_margin_loss", lossOfRows},
      {"aten::multi_margin_loss_backward", contiguousLikeSecond},
      {"aten::binary_cross_entropy", loss<3>},
      {"aten::binary_cross_entropy_backward", lossBackward},
      {"aten::binary_cross_entropy_with_logits", loss<4>},
      {"aten::var.correction", variance<1>},
      {"aten::std.correction", variance<1>},
      {"aten::var_mean.correction", variance<2>},
      {"aten::_scaled_dot_product_flash_attention_for_cpu", flashAttention},
      {"aten::_scaled_dot_product_flash_attention_for_cpu_backward", flashAttentionBackward},
  };
  return table;
}

} // namespace

ShapeRule shapeRule(std::string_view name) {
  auto found = rules().find(name);
  return found == rules().end() ? nullptr : found->second;
}

std::vector<std::string_view> opsWithShapeRules() {
  std::vector<std::string_view> names;
  for (const auto &[name, rule] : rules())
    names.push_back(name);
  return names;
}

} // namespace bifront
