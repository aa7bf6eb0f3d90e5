#include "runtime/pools.h"

#include "runtime/float_products.h"
#include "runtime/image_patches.h"
#include "runtime/parallel.h"

#include <ATen/ATen.h>

#include <array>
#include <limits>
#include <optional>

namespace bifront {
namespace {

constexpr int64_t kElementsPerThread = 1 << 14;                        // at least
constexpr int64_t kMostElements = std::numeric_limits<int32_t>::max(); // of a channel

struct Pool {
  int64_t images, channels;
  Windows windows; // over one channel
  int64_t planes() const { return images * channels; }
  int64_t sizeOfPlane() const { return windows.height * windows.width; }
  std::array<int64_t, 4> sizesOfResult() const {
    return {images, channels, windows.rows, windows.columns};
  }
};

// A list of one number is for both. Nothing where it has neither one nor two.
std::optional<Extent> extentOf(const c10::IValue &list) {
  std::vector<int64_t> values = list.toIntVector();
  if (values.empty() || values.size() > 2)
    return std::nullopt;
  return Extent{values.front(), values.back()};
}

// `first` is the window's size; its step, the padding follow. Nothing where ATen is to do it.
std::optional<Pool> poolOf(const c10::IValue &images, const c10::IValue *first) {
  if (!areFloatsInOrder(images, 4))
    return std::nullopt;
  auto window = extentOf(first[0]), padding = extentOf(first[2]);
  auto step = first[1].toIntVector().empty() ? window : extentOf(first[1]);
  if (!window || !step || !padding)
    return std::nullopt;
  auto isUsual = [](int64_t window, int64_t step, int64_t padding) {
    return window > 0 && step > 0 && padding >= 0 && 2 * padding <= window;
  };
  if (!isUsual(window->rows, step->rows, padding->rows) ||
      !isUsual(window->columns, step->columns, padding->columns) ||
      window->rows * window->columns > kMostPlaces)
    return std::nullopt;
  const at::Tensor &tensor = images.toTensor();
  Pool pool{tensor.size(0), tensor.size(1),
            windowsOver(1, {tensor.size(2), tensor.size(3)}, *window, *step, *padding)};
  if (pool.windows.count() == 0 || pool.sizeOfPlane() > kMostElements)
    return std::nullopt;
  return pool;
}

// Calls `use` with each channel of each image, and memory of `size` elements.
template <typename Use> void forEachPlane(const Pool &pool, int64_t size, const Use &use) {
  int64_t grain = std::max<int64_t>(1, kElementsPerThread / pool.sizeOfPlane());
  parallelFor(pool.planes(), grain, [&](int64_t begin, int64_t end) {
    thread_local FloatMemory memory;
    float *room = memory.get(size);
    for (int64_t plane = begin; plane < end; ++plane)
      use(plane, room);
  });
}

// ===- Averages --------------------------------------------------------------------------------===

// By how many elements a window's sum is divided: one of the rows by one of the columns.
struct Counts {
  std::vector<float> rows, columns;
};

// Of the window's places along a dimension, those that are in the image.
std::vector<float> placesWithin(int64_t count, int64_t step, int64_t padding, int64_t window,
                                int64_t size) {
  std::vector<float> within(count);
  for (int64_t i = 0; i < count; ++i) {
    int64_t begin = i * step - padding, end = std::min(begin + window, size);
    within[i] = static_cast<float>(end - std::max<int64_t>(begin, 0));
  }
  return within;
}

// `first` is whether a window may begin where it does not fit; whether padding counts, and a
// divisor, follow.
std::optional<Counts> countsOf(const Pool &pool, const c10::IValue *first) {
  const Windows &windows = pool.windows;
  if (first[0].toBool())
    return std::nullopt;
  int64_t places = windows.windowHeight * windows.windowWidth;
  bool hasDivisor = !first[2].isNone();
  int64_t divisor = hasDivisor ? first[2].toInt() : places;
  if (divisor == 0 || std::abs(divisor) > (1 << 24)) // raises, or is no float
    return std::nullopt;
  if (hasDivisor || first[1].toBool())
    return Counts{std::vector<float>(windows.rows, static_cast<float>(divisor)),
                  std::vector<float>(windows.columns, 1)};
  return Counts{placesWithin(windows.rows, windows.rowStep, windows.rowPadding,
                             windows.windowHeight, windows.height),
                placesWithin(windows.columns, windows.columnStep, windows.columnPadding,
                             windows.windowWidth, windows.width)};
}

// avg_pool2d(self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
bool average(std::vector<c10::IValue> &stack, PackedRight *) {
  auto pool = poolOf(stack[0], &stack[1]);
  auto counts = pool ? countsOf(*pool, &stack[4]) : std::nullopt;
  if (!counts)
    return false;
  const Windows &windows = pool->windows;
  at::Tensor result = at::empty(pool->sizesOfResult(), stack[0].toTensor().options());
  const float *from = valuesOf(stack[0]);
  float *to = placeOf(result);
  forEachPlane(*pool, spreadSize(windows), [&](int64_t plane, float *room) {
    spread(windows, from + plane * pool->sizeOfPlane(), room);
    averagePatches(windows, room, counts->rows.data(), counts->columns.data(),
                   to + plane * windows.count());
  });
  giveResults(stack, std::move(result));
  return true;
}

// avg_pool2d_backward(grad_output, self, kernel_size, stride, padding, ceil_mode,
// count_include_pad, divisor_override)
bool averageBackward(std::vector<c10::IValue> &stack, PackedRight *) {
  auto pool = poolOf(stack[1], &stack[2]);
  auto counts = pool ? countsOf(*pool, &stack[5]) : std::nullopt;
  if (!counts || !areFloatsInOrder(stack[0], 4) ||
      stack[0].toTensor().sizes() != at::IntArrayRef(pool->sizesOfResult()))
    return false;
  const Windows &windows = pool->windows;
  at::Tensor result = at::empty(stack[1].toTensor().sizes(), stack[1].toTensor().options());
  const float *from = valuesOf(stack[0]);
  float *to = placeOf(result);
  int64_t size = spreadSize(windows);
  forEachPlane(*pool, size + windows.count(), [&](int64_t plane, float *room) {
    float *shares = room + size;
    divideByCounts(windows, from + plane * windows.count(), counts->rows.data(),
                   counts->columns.data(), shares);
    std::fill_n(room, size, 0.0F);
    addPatches(windows, shares, /*stride=*/0, room); // each place has the same share
    gather(windows, room, to + plane * pool->sizeOfPlane());
  });
  giveResults(stack, std::move(result));
  return true;
}

// ===- The greatest ----------------------------------------------------------------------------===

// max_pool2d_with_indices(self, kernel_size, stride, padding, dilation, ceil_mode)
bool greatest(std::vector<c10::IValue> &stack, PackedRight *) {
  auto pool = poolOf(stack[0], &stack[1]);
  auto apart = extentOf(stack[4]);
  if (!pool || !apart || apart->rows != 1 || apart->columns != 1 || stack[5].toBool())
    return false;
  const Windows &windows = pool->windows;
  auto options = stack[0].toTensor().options();
  at::Tensor result = at::empty(pool->sizesOfResult(), options);
  at::Tensor indices = at::empty(pool->sizesOfResult(), options.dtype(at::kLong));
  const float *from = valuesOf(stack[0]);
  float *to = placeOf(result);
  auto *places = indices.mutable_data_ptr<int64_t>();
  forEachPlane(*pool, spreadSize(windows), [&](int64_t plane, float *room) {
    spread(windows, from + plane * pool->sizeOfPlane(), room,
           -std::numeric_limits<float>::infinity());
    greatestPatches(windows, room, to + plane * windows.count(), places + plane * windows.count());
  });
  giveResults(stack, std::move(result), std::move(indices));
  return true;
}

} // namespace

OwnFunction ownPool(const std::string &schema) {
  if (!hasOwnVectors())
    return nullptr;
  return functionNamed(schema, {{"aten::avg_pool2d", average},
                                {"aten::avg_pool2d_backward", averageBackward},
                                {"aten::max_pool2d_with_indices", greatest}});
}

} // namespace bifront
