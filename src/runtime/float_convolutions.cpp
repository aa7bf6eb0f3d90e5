#include "runtime/float_convolutions.h"

#include "runtime/image_patches.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <optional>

namespace bifront {
namespace {

constexpr int64_t kMostPatches = 1 << 20; // elements, of what windows see of one image
// Images whose windows are the columns of one matrix have about so many together.
constexpr int64_t kColumns = 512;
constexpr int64_t kAlignment = 16; // elements

struct Convolution {
  Windows windows{};
  int64_t images = 0, outputs = 0; // channels that come out
  int64_t work() const { return images * windows.count() * windows.depth() * outputs; }
  int64_t weights() const { return outputs * windows.depth(); }
  int64_t sizeOfImage() const { return windows.channels * windows.height * windows.width; }
  int64_t sizeOfResult() const { return outputs * windows.count(); }
  // Images whose columns are side by side.
  int64_t atOnce() const {
    return std::min(images, std::max<int64_t>(1, kColumns / windows.count()));
  }
};

enum class Kind : uint8_t { Forward, TowardsWeights, TowardsImages };

// ===- Whose is faster -------------------------------------------------------------------------===

// Multiplications in a nanosecond, as measured on one thread: ours, ATen's of many channels, and
// those of the products that ATen makes of windows of one place.
struct Speeds {
  double own, forward, towardsImages, product, productTowardsImages;
};

const Speeds &speeds() {
  static const Speeds here = atensProductsAreFast() ? Speeds{70, 76, 72, 76, 52}   // Intel's cores
                                                    : Speeds{90, 110, 90, 48, 40}; // AMD's
  return here;
}

// Nanoseconds, as all costs.
constexpr double kToReadAWeight = 0.3, kToWriteAWeight = 1;

double ownCost(const Convolution &all, Kind kind) {
  const Windows &windows = all.windows;
  bool isBack = kind == Kind::TowardsImages;
  auto vectors = [](int64_t elements) {
    int64_t count = (elements + 15) / 16;
    return static_cast<double>(count);
  };
  double cost = static_cast<double>(all.work()) / speeds().own +
                kToReadAWeight * static_cast<double>(all.weights());
  auto images = static_cast<double>(all.images);
  if (windows.areColumns())
    return cost + images * static_cast<double>(windows.channels) * vectors(windows.count());
  // What was just added to is not read again as fast where windows overlap within a vector.
  double ofRun = !isBack ? 1.5 : windows.columnStep == 1 && windows.windowWidth > 1 ? 4.5 : 2;
  cost += ofRun * images * static_cast<double>(windows.depth() * windows.rows) *
          vectors(windows.columns);
  return windows.areOfSpread()
             ? cost
             : cost + (isBack ? 5 : 3) * images * static_cast<double>(rowsOfSpread(windows));
}

// ATen gives few images of this kind to its matrix products, where one thread is all there is.
bool areProductsOfAten(const Convolution &all) {
  constexpr int64_t kFewImages = 16;
  const Windows &windows = all.windows;
  return windows.windowHeight == 1 && windows.windowWidth == 1 && windows.rowStep == 1 &&
         windows.columnStep == 1 && all.images < kFewImages && at::get_num_threads() == 1;
}

double atensSpeed(const Convolution &all, Kind kind) {
  const Windows &windows = all.windows;
  bool isRegular = windows.channels % 16 == 0;
  if (areProductsOfAten(all))
    return kind == Kind::TowardsImages ? speeds().productTowardsImages : speeds().product;
  // Its vectors hold channels, but up to three have code of their own.
  if (kind == Kind::TowardsWeights && windows.channels > 3 && windows.channels < 16)
    return 4.5 * static_cast<double>(std::min<int64_t>(windows.channels, 8));
  if (kind != Kind::TowardsImages)
    return isRegular && all.outputs % 16 == 0 ? speeds().forward : 50;
  if (windows.channels < 8)
    return 8;
  if (windows.columnStep > windows.windowWidth)
    return 20; // most of the gradient is zero
  return !isRegular ? 40 : windows.columnStep == 1 ? speeds().towardsImages : 50;
}

// Most of it, for small images, whatever there is to do.
double atensCost(const Convolution &all, Kind kind) {
  double start = areProductsOfAten(all)        ? 10'000
                 : kind != Kind::TowardsImages ? 40'000
                 : all.windows.columnStep == 1 ? 45'000
                                               : 85'000;
  double ofWeight = kind == Kind::TowardsWeights ? kToWriteAWeight : kToReadAWeight;
  return start + (static_cast<double>(all.work()) / atensSpeed(all, kind) +
                  ofWeight * static_cast<double>(all.weights())) /
                     at::get_num_threads();
}

bool isFaster(const Convolution &all, const std::vector<Kind> &kinds) {
  double own = 0, atens = 0;
  for (Kind kind : kinds) {
    own += ownCost(all, kind);
    atens += atensCost(all, kind);
  }
  return own < atens;
}

// ===- What ATen gives -------------------------------------------------------------------------===

bool isFullPrecision() {
  auto precision =
      at::globalContext().float32Precision(at::Float32Backend::MKLDNN, at::Float32Op::CONV);
  return precision != at::Float32Precision::TF32 && precision != at::Float32Precision::BF16;
}

// From `first` on, the arguments are strides, paddings, dilations, whether it is transposed,
// paddings of its output, and groups. Nothing where ATen is to do it.
std::optional<Convolution> convolutionOf(const c10::IValue &image, const c10::IValue &weight,
                                         const c10::IValue *first) {
  if (!areFloatsInOrder(image, 4) || !areFloatsInOrder(weight, 4) || first[3].toBool() ||
      first[5].toInt() != 1)
    return std::nullopt;
  auto pairOf = [](const c10::IValue &list) {
    std::vector<int64_t> values = list.toIntVector();
    return std::array<int64_t, 2>{values.front(), values.back()};
  };
  const at::Tensor &images = image.toTensor(), &weights = weight.toTensor();
  auto steps = pairOf(first[0]), paddings = pairOf(first[1]), dilations = pairOf(first[2]);
  bool isUsual = steps[0] > 0 && steps[1] > 0 && paddings[0] >= 0 && paddings[1] >= 0 &&
                 dilations[0] == 1 && dilations[1] == 1 && images.size(1) == weights.size(1);
  if (!isUsual)
    return std::nullopt;
  Convolution made;
  made.windows = windowsOver(images.size(1), {images.size(2), images.size(3)},
                             {weights.size(2), weights.size(3)}, {steps[0], steps[1]},
                             {paddings[0], paddings[1]});
  made.images = images.size(0);
  made.outputs = weights.size(0);
  const Windows &windows = made.windows;
  if (windows.count() == 0 || windows.count() * windows.depth() > kMostPatches ||
      !isFullPrecision())
    return std::nullopt;
  return made;
}

// ===- Work on some images at once -------------------------------------------------------------===

struct Room {
  float *patches, *results, *spread, *product;
};

// Of this thread.
Room roomFor(const Convolution &all, int64_t productSize) {
  thread_local FloatMemory memory;
  int64_t columns = all.atOnce() * all.windows.count();
  std::array<int64_t, 4> sizes{all.windows.depth() * columns, all.outputs * columns,
                               spreadSize(all.windows), productSize};
  int64_t sum = 0;
  for (int64_t &size : sizes)
    sum += size = (size + kAlignment - 1) / kAlignment * kAlignment;
  float *at = memory.get(sum);
  return {at, at + sizes[0], at + sizes[0] + sizes[1], at + sizes[0] + sizes[1] + sizes[2]};
}

// A matrix with the columns of some images side by side; of one image, it may be the image.
struct Columns {
  const float *data;
  int64_t stride;
};

Columns patchesOfImages(const Convolution &all, const float *image, int64_t count,
                        const Room &room) {
  const Windows &windows = all.windows;
  int64_t each = windows.count(), stride = count * each;
  if (count == 1 && windows.areColumns())
    return {image, stride};
  for (int64_t n = 0; n < count; ++n, image += all.sizeOfImage()) {
    if (windows.areColumns()) {
      copyRows(image, each, room.patches + n * each, stride, windows.channels, each);
      continue;
    }
    const float *seen = image;
    if (!windows.areOfSpread()) {
      spread(windows, image, room.spread);
      seen = room.spread;
    }
    patchesOf(windows, seen, room.patches + n * each, stride);
  }
  return {room.patches, stride};
}

// Of results, or what is to be their gradients.
Columns resultsOfImages(const Convolution &all, const float *result, int64_t count,
                        const Room &room) {
  int64_t each = all.windows.count(), stride = count * each;
  if (count == 1)
    return {result, stride};
  for (int64_t n = 0; n < count; ++n)
    copyRows(result + n * all.sizeOfResult(), each, room.results + n * each, stride, all.outputs,
             each);
  return {room.results, stride};
}

void multiplyWith(const MatrixProduct &product, const Room &room) {
  multiply(product, room.product);
}

template <typename Use> void forSomeImages(const Convolution &all, const Use &use) {
  for (int64_t n = 0; n < all.images; n += all.atOnce())
    use(n, std::min(all.atOnce(), all.images - n));
}

MatrixProduct forward(const Convolution &all, const float *weights, Columns patches) {
  const Windows &windows = all.windows;
  return {.rows = all.outputs,
          .columns = patches.stride,
          .depth = windows.depth(),
          .left = {weights, windows.depth(), 1},
          .right = {patches.data, patches.stride, 1},
          .result = nullptr,
          .resultStride = patches.stride};
}

void convolve(const Convolution &all, const float *images, const float *weights, const float *bias,
              float *results) {
  Columns widest{nullptr, all.atOnce() * all.windows.count()};
  Room room = roomFor(all, productWorkspaceSize(forward(all, weights, widest)));
  int64_t each = all.windows.count();
  forSomeImages(all, [&](int64_t n, int64_t count) {
    MatrixProduct product =
        forward(all, weights, patchesOfImages(all, images + n * all.sizeOfImage(), count, room));
    float *to = results + n * all.sizeOfResult();
    bool isInPlace = count == 1 && !bias;
    product.result = isInPlace ? to : room.results;
    multiplyWith(product, room);
    for (int64_t i = 0; i < count && !isInPlace; ++i)
      copyRows(room.results + i * each, product.resultStride, to + i * all.sizeOfResult(), each,
               all.outputs, each, bias);
  });
}

// ===- Gradients -------------------------------------------------------------------------------===

struct Gradients {
  float *images, *weights, *bias; // null: not wanted
};

MatrixProduct towardsWeights(const Convolution &all, Columns results, Columns patches,
                             float *weights) {
  int64_t depth = all.windows.depth();
  return {.rows = all.outputs,
          .columns = depth,
          .depth = results.stride,
          .left = {results.data, results.stride, 1},
          .right = {patches.data, 1, patches.stride},
          .result = weights,
          .resultStride = depth};
}

MatrixProduct towardsPatches(const Convolution &all, const float *weights, Columns results,
                             float *patches) {
  int64_t depth = all.windows.depth();
  return {.rows = depth,
          .columns = results.stride,
          .depth = all.outputs,
          .left = {weights, 1, depth},
          .right = {results.data, results.stride, 1},
          .result = patches,
          .resultStride = results.stride};
}

void putPatches(const Convolution &all, int64_t count, const Room &room, float *images) {
  const Windows &windows = all.windows;
  int64_t each = windows.count(), stride = count * each;
  for (int64_t n = 0; n < count; ++n, images += all.sizeOfImage()) {
    if (windows.areColumns()) {
      copyRows(room.patches + n * each, stride, images, each, windows.channels, each);
      continue;
    }
    float *sums = windows.areOfSpread() ? images : room.spread;
    std::fill_n(sums, spreadSize(windows), 0.0F);
    addPatches(windows, room.patches + n * each, stride, sums);
    if (sums != images)
      gather(windows, sums, images);
  }
}

void convolveBackward(const Convolution &all, const float *results, const float *images,
                      const float *weights, const Gradients &gradients) {
  Columns widest{nullptr, all.atOnce() * all.windows.count()};
  Room room =
      roomFor(all, std::max(productWorkspaceSize(towardsWeights(all, widest, widest, nullptr)),
                            productWorkspaceSize(towardsPatches(all, nullptr, widest, nullptr))));
  forSomeImages(all, [&](int64_t n, int64_t count) {
    Columns given = resultsOfImages(all, results + n * all.sizeOfResult(), count, room);
    for (int64_t o = 0; o < all.outputs && gradients.bias; ++o)
      gradients.bias[o] =
          (n > 0 ? gradients.bias[o] : 0) + sumOf(given.data + o * given.stride, given.stride);
    if (gradients.weights) {
      Columns patches = patchesOfImages(all, images + n * all.sizeOfImage(), count, room);
      MatrixProduct product = towardsWeights(all, given, patches, gradients.weights);
      product.initial = n > 0 ? gradients.weights : nullptr;
      product.initialStride = product.resultStride;
      multiplyWith(product, room);
    }
    if (gradients.images) {
      float *to = gradients.images + n * all.sizeOfImage();
      bool isInPlace = count == 1 && all.windows.areColumns();
      multiplyWith(towardsPatches(all, weights, given, isInPlace ? to : room.patches), room);
      if (!isInPlace)
        putPatches(all, count, room, to);
    }
  });
}

// ===- The operators ---------------------------------------------------------------------------===

// convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
template <bool evenIfSlower> bool convolution(std::vector<c10::IValue> &stack, PackedRight *) {
  auto all = convolutionOf(stack[0], stack[1], &stack[3]);
  bool hasBias = isThere(stack[2]);
  if (!all || (!evenIfSlower && !isFaster(*all, {Kind::Forward})) ||
      (hasBias && (!areFloatsInOrder(stack[2], 1) || stack[2].toTensor().size(0) != all->outputs)))
    return false;
  at::Tensor result =
      at::empty({all->images, all->outputs, all->windows.rows, all->windows.columns},
                stack[0].toTensor().options());
  convolve(*all, valuesOf(stack[0]), valuesOf(stack[1]), valuesOf(stack[2]), placeOf(result));
  giveResults(stack, std::move(result));
  return true;
}

std::vector<Kind> kindsOf(const c10::List<bool> &wanted) {
  std::vector<Kind> kinds;
  if (wanted.get(0))
    kinds.push_back(Kind::TowardsImages);
  if (wanted.get(1))
    kinds.push_back(Kind::TowardsWeights);
  return kinds;
}

// convolution_backward(grad_output, input, weight, bias_sizes, stride, padding, dilation,
// transposed, output_padding, groups, output_mask)
template <bool evenIfSlower>
bool convolutionBackward(std::vector<c10::IValue> &stack, PackedRight *) {
  auto all = convolutionOf(stack[1], stack[2], &stack[4]);
  if (!all || !areFloatsInOrder(stack[0], 4))
    return false;
  const at::Tensor &given = stack[0].toTensor();
  c10::List<bool> wanted = stack[10].toBoolList();
  std::array<int64_t, 4> sizes{all->images, all->outputs, all->windows.rows, all->windows.columns};
  if (given.sizes() != at::IntArrayRef(sizes) || wanted.size() != 3)
    return false;
  if (!evenIfSlower && !isFaster(*all, kindsOf(wanted)))
    return false;
  auto options = given.options();
  at::Tensor images =
      wanted.get(0) ? at::empty(stack[1].toTensor().sizes(), options) : at::Tensor();
  at::Tensor weights =
      wanted.get(1) ? at::empty(stack[2].toTensor().sizes(), options) : at::Tensor();
  at::Tensor bias = wanted.get(2) ? at::empty({all->outputs}, options) : at::Tensor();
  convolveBackward(*all, valuesOf(stack[0]), valuesOf(stack[1]), valuesOf(stack[2]),
                   {placeOf(images), placeOf(weights), placeOf(bias)});
  giveResults(stack, std::move(images), std::move(weights), std::move(bias));
  return true;
}

} // namespace

OwnFunction ownConvolution(const std::string &schema, bool evenIfSlower) {
  if (!hasOwnVectors())
    return nullptr;
  if (schema == "aten::convolution")
    return evenIfSlower ? convolution<true> : convolution<false>;
  if (schema == "aten::convolution_backward")
    return evenIfSlower ? convolutionBackward<true> : convolutionBackward<false>;
  return nullptr;
}

} // namespace bifront
