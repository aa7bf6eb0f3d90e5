#include "runtime/batch_norms.h"

#include "runtime/channels.h"
#include "runtime/parallel.h"

#include <ATen/ATen.h>

#include <cmath>
#include <optional>

namespace bifront {
namespace {

// Of a channel, in each image: less are too few for vectors.
constexpr int64_t kFewestElements = 8;
constexpr int64_t kElementsPerThread = 1 << 14; // at least

struct Images {
  int64_t channels;
  Channel channel; // the first; the others follow
};

std::optional<Images> imagesOf(const c10::IValue &value) {
  int64_t dims = isThere(value) ? value.toTensor().dim() : 0;
  if (dims < 3 || !areFloatsInOrder(value, dims))
    return std::nullopt;
  const at::Tensor &tensor = value.toTensor();
  int64_t images = tensor.size(0), channels = tensor.size(1), size = tensor.stride(1);
  if (size < kFewestElements || images * size == 1)
    return std::nullopt;
  return Images{channels, {images, size, channels * size}};
}

// One for each channel.
bool areOfChannels(const c10::IValue &value, const Images &images) {
  return areFloatsInOrder(value, 1) && value.toTensor().size(0) == images.channels;
}

template <typename Use> void forEachChannel(const Images &images, const Use &use) {
  parallelFor(images.channels, std::max<int64_t>(1, kElementsPerThread / images.channel.count()),
              [&](int64_t begin, int64_t end) {
                for (int64_t c = begin; c < end; ++c)
                  use(c);
              });
}

// native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
bool batchNorm(std::vector<c10::IValue> &stack, PackedRight *) {
  auto images = imagesOf(stack[0]);
  if (!images || !stack[5].toBool())
    return false;
  for (int i = 1; i <= 4; ++i)
    if (isThere(stack[i]) && !areOfChannels(stack[i], *images))
      return false;
  double momentum = stack[6].toDouble(), epsilon = stack[7].toDouble();
  const float *from = valuesOf(stack[0]), *weights = valuesOf(stack[1]),
              *biases = valuesOf(stack[2]);
  float *means = placeOf(stack[3]), *variances = placeOf(stack[4]);
  auto options = stack[0].toTensor().options();
  at::Tensor result = at::empty(stack[0].toTensor().sizes(), options);
  at::Tensor savedMeans = at::empty({images->channels}, options);
  at::Tensor savedScales = at::empty({images->channels}, options);
  float *to = placeOf(result), *saveMean = placeOf(savedMeans), *saveScale = placeOf(savedScales);
  auto count = static_cast<double>(images->channel.count());
  forEachChannel(*images, [&](int64_t c) {
    int64_t first = c * images->channel.size;
    Moments moments = momentsOf(images->channel, from + first);
    saveMean[c] = static_cast<float>(moments.mean);
    saveScale[c] = static_cast<float>(1 / std::sqrt(moments.squares / count + epsilon));
    if (means)
      means[c] = static_cast<float>(momentum * saveMean[c] + (1 - momentum) * means[c]);
    if (variances)
      variances[c] = static_cast<float>(momentum * (moments.squares / (count - 1)) +
                                        (1 - momentum) * variances[c]);
    float scale = saveScale[c] * (weights ? weights[c] : 1);
    float shift = (biases ? biases[c] : 0) - saveMean[c] * scale;
    scaleAndShift(images->channel, from + first, scale, shift, to + first);
  });
  giveResults(stack, std::move(result), std::move(savedMeans), std::move(savedScales));
  return true;
}

// native_batch_norm_backward(grad_out, input, weight, running_mean, running_var, save_mean,
// save_invstd, train, eps, output_mask)
bool batchNormBackward(std::vector<c10::IValue> &stack, PackedRight *) {
  auto images = imagesOf(stack[1]);
  c10::List<bool> wanted = stack[9].toBoolList();
  if (!images || !imagesOf(stack[0]) || !stack[7].toBool() || wanted.size() != 3 ||
      stack[0].toTensor().sizes() != stack[1].toTensor().sizes() ||
      !areOfChannels(stack[5], *images) || !areOfChannels(stack[6], *images))
    return false;
  bool hasWeights = isThere(stack[2]);
  if (hasWeights ? !areOfChannels(stack[2], *images) : wanted.get(1) || wanted.get(2))
    return false;
  auto options = stack[1].toTensor().options();
  auto made = [&](int which, at::IntArrayRef sizes) {
    return wanted.get(which) ? at::empty(sizes, options) : at::Tensor();
  };
  at::Tensor ofImages = made(0, stack[1].toTensor().sizes());
  at::Tensor ofWeights = made(1, {images->channels}), ofBiases = made(2, {images->channels});
  const float *gradients = valuesOf(stack[0]), *from = valuesOf(stack[1]),
              *weights = valuesOf(stack[2]), *means = valuesOf(stack[5]),
              *scales = valuesOf(stack[6]);
  float *toImages = placeOf(ofImages), *toWeights = placeOf(ofWeights),
        *toBiases = placeOf(ofBiases);
  auto count = static_cast<double>(images->channel.count());
  forEachChannel(*images, [&](int64_t c) {
    int64_t first = c * images->channel.size;
    GradientSums sums = gradientSums(images->channel, from + first, means[c], gradients + first);
    if (toWeights)
      toWeights[c] = static_cast<float>(sums.product * scales[c]);
    if (toBiases)
      toBiases[c] = static_cast<float>(sums.sum);
    if (!toImages)
      return;
    double scale = scales[c];
    GradientOfChannel gradient{means[c], static_cast<float>(sums.product * scale * scale / count),
                               static_cast<float>(sums.sum / count),
                               scales[c] * (weights ? weights[c] : 1)};
    putGradients(images->channel, from + first, gradients + first, gradient, toImages + first);
  });
  giveResults(stack, std::move(ofImages), std::move(ofWeights), std::move(ofBiases));
  return true;
}

} // namespace

OwnFunction ownBatchNorm(const std::string &schema) {
  if (!hasOwnVectors())
    return nullptr;
  return functionNamed(schema, {{"aten::native_batch_norm", batchNorm},
                                {"aten::native_batch_norm_backward", batchNormBackward}});
}

} // namespace bifront
