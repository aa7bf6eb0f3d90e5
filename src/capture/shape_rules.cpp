#include "capture/shape_rules.h"

#include "capture/capture_error.h"
#include "capture/proxy.h"
#include "capture/symbolic.h"

#include <unordered_map>

namespace bifront {

//===- Arguments ---------------------------------------------------------------------------===//

bool RuleCall::isNone(size_t index) const {
  return args_[index].isNone() || (args_[index].isTensor() && !args_[index].toTensor().defined());
}

const Extent *RuleCall::tensor(size_t index) {
  if (isNone(index))
    return nullptr;
  at::Tensor tensor = args_[index].toTensor();
  if (ProxyImpl *proxy = ProxyImpl::of(tensor))
    return &proxy->shape().in(world_);
  outside_.push_back(std::make_unique<Extent>(Extent::of(tensor)));
  return outside_.back().get();
}

int64_t RuleCall::integer(size_t index) const {
  const c10::IValue &value = args_[index];
  if (value.isInt())
    return value.toInt();
  if (auto size = sizeIn(value.toSymInt(), world_))
    return *size;
  throw CaptureError("a shape depends on a tensor's value");
}

Dims RuleCall::integers(size_t index) const {
  Dims numbers;
  for (const c10::IValue &value : args_[index].toListRef()) {
    auto size = value.isInt() ? std::optional(value.toInt()) : sizeIn(value.toSymInt(), world_);
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

// Rows in the usual order, and of a dtype whose sums have the same: where the rules below hold.
bool isPlain(const Extent *tensor) {
  return tensor && tensor->isContiguous() &&
         suggestedFormat(*tensor) == at::MemoryFormat::Contiguous &&
         (tensor->dtype == at::kFloat || tensor->dtype == at::kDouble) && !tensor->wrappedNumber;
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

bool likeSelf(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (!isPlain(self))
    return false;
  call.returns(plain(self->sizes, self->dtype));
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

// (grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding,
// groups,
//  output_mask)
bool convolutionBackward(RuleCall &call) {
  const Extent *grad = call.tensor(0), *input = call.tensor(1), *weight = call.tensor(2);
  if (!isFloat(grad) || !convolves(input, weight) || call.flag(7))
    return false;
  at::MemoryFormat format = formatOf(*input, *weight);
  std::vector<bool> mask = call.flags(10);
  // ATen's own kernels, for doubles, keep strides that will do; oneDNN's results are made anew.
  auto gradientOf = [&](const Extent &of) {
    bool keeps =
        of.dtype == at::kDouble && format == at::MemoryFormat::ChannelsLast && of.isChannelsLast();
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

// (grad_output, indices, num_weights, padding_idx, scale_grad_by_freq)
bool embeddingBackward(RuleCall &call) {
  const Extent *grad = call.tensor(0);
  if (!grad || grad->dim() == 0)
    return false;
  call.returns(plain({call.integer(2), grad->sizes.back()}, grad->dtype));
  return true;
}

const std::unordered_map<std::string_view, ShapeRule> &rules() {
  static const std::unordered_map<std::string_view, ShapeRule> table = {
      {"aten::relu", likeSelf},
      {"aten::abs", likeSelf},
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
      {"aten::embedding_dense_backward", embeddingBackward},
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
