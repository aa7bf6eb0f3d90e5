// Compiled for AVX-512 as matrix_product.cpp is: nothing inline of another header may be
// instantiated here.
#include "runtime/image_patches.h"

#include <immintrin.h>

namespace bifront {
namespace {

constexpr int64_t kLanes = 16;

__mmask16 firstLanes(int64_t count) {
  return count >= kLanes ? 0xffff : static_cast<__mmask16>((1u << count) - 1);
}

// Of a spread image; what no window sees of it is left out, or left as it is.
struct Spread {
  explicit Spread(const Windows &of)
      : height((of.rows - 1) * of.rowStep + of.windowHeight),
        width(of.columns + (of.windowWidth - 1) / of.columnStep),
        phases(of.columnStep < of.windowWidth ? of.columnStep : of.windowWidth) {}
  int64_t size(int64_t channels) const { return channels * height * phases * width; }
  int64_t rowAt(int64_t channel, int64_t y, int64_t phase) const {
    return ((channel * height + y) * phases + phase) * width;
  }
  int64_t height, width, phases;
};

struct Copied {
  static __m512 made(__m512 from, __mmask16, const float *) { return from; }
};
struct Added {
  static __m512 made(__m512 from, __mmask16 lanes, const float *to) {
    return _mm512_add_ps(from, _mm512_maskz_loadu_ps(lanes, to));
  }
};

template <typename Kind> void putRun(const float *from, float *to, __mmask16 lanes) {
  _mm512_mask_storeu_ps(to, lanes, Kind::made(_mm512_maskz_loadu_ps(lanes, from), lanes, to));
}

template <typename Kind> void putRun(const float *from, float *to, int64_t size) {
  for (int64_t x = 0; x < size; x += kLanes)
    putRun<Kind>(from + x, to + x, firstLanes(size - x));
}

template <typename Kind>
void putRuns(const float *from, int64_t fromStep, float *to, int64_t toStep, int64_t count,
             int64_t size) {
  __mmask16 lanes = firstLanes(size);
  if (size <= kLanes)
    for (int64_t i = 0; i < count; ++i)
      putRun<Kind>(from + i * fromStep, to + i * toStep, lanes);
  else
    for (int64_t i = 0; i < count; ++i)
      putRun<Kind>(from + i * fromStep, to + i * toStep, size);
}

void clearRun(float *to, int64_t size) {
  for (int64_t x = 0; x < size; x += kLanes)
    _mm512_mask_storeu_ps(to + x, firstLanes(size - x), _mm512_setzero_ps());
}

// to[n] = from[n * step]
void takeEach(const float *from, int64_t step, float *to, int64_t size) {
  for (int64_t n = 0; step != 2 && n < size; ++n)
    to[n] = from[n * step];
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  for (int64_t n = 0; step == 2 && n < size; n += kLanes) {
    const float *begin = from + n * step;
    int64_t seen = 2 * (size - n) - 1;
    __m512 first = _mm512_maskz_loadu_ps(firstLanes(seen), begin), second = _mm512_setzero_ps();
    if (seen > kLanes)
      second = _mm512_maskz_loadu_ps(firstLanes(seen - kLanes), begin + kLanes);
    _mm512_mask_storeu_ps(to + n, firstLanes(size - n),
                          _mm512_permutex2var_ps(first, even, second));
  }
}

// For each place in a window: of all windows, the first row of what they see there in the matrix
// and in the spread image.
template <typename Use> void forEachPlace(const Windows &of, const Use &use) {
  const Spread spread(of);
  int64_t k = 0;
  for (int64_t channel = 0; channel < of.channels; ++channel)
    for (int64_t i = 0; i < of.windowHeight; ++i)
      for (int64_t j = 0, phase = 0, column = 0; j < of.windowWidth; ++j, ++k) {
        use(k, spread.rowAt(channel, i, phase) + column);
        if (++phase == of.columnStep) {
          phase = 0;
          ++column;
        }
      }
}

// The columns of the image that are in a phase: column first + n * columnStep of it is the n-th of
// the phase, for n from `begin` to `end`.
struct Phase {
  Phase(const Windows &of, const Spread &spread, int64_t phase) : first(phase - of.columnPadding) {
    int64_t step = of.columnStep;
    begin = first < 0 ? (-first + step - 1) / step : 0;
    end = of.width > first ? (of.width - first + step - 1) / step : 0;
    end = end < spread.width ? end : spread.width;
    begin = begin < end ? begin : end;
  }
  int64_t first, begin, end;
};

// For each row of the spread image that windows see: its phase, where it is, and where its row of
// the image is, or -1.
template <typename Use> void forEachRow(const Windows &of, const Use &use) {
  const Spread spread(of);
  for (int64_t p = 0; p < spread.phases; ++p) {
    const Phase phase(of, spread, p);
    for (int64_t channel = 0; channel < of.channels; ++channel)
      for (int64_t y = 0, inStep = 0; y < spread.height; ++y) {
        int64_t row = y - of.rowPadding;
        bool isThere = row >= 0 && row < of.height;
        if (inStep < of.windowHeight)
          use(phase, spread.rowAt(channel, y, p),
              isThere ? (channel * of.height + row) * of.width : -1);
        inStep = inStep + 1 == of.rowStep ? 0 : inStep + 1;
      }
  }
}

} // namespace

int64_t spreadSize(const Windows &windows) { return Spread(windows).size(windows.channels); }

int64_t rowsOfSpread(const Windows &windows) {
  const Spread spread(windows);
  return windows.channels * spread.height * spread.phases;
}

void spread(const Windows &windows, const float *image, float *to) {
  int64_t width = Spread(windows).width, step = windows.columnStep;
  forEachRow(windows, [&](const Phase &phase, int64_t inSpread, int64_t inImage) {
    float *out = to + inSpread;
    if (inImage < 0)
      return clearRun(out, width);
    const float *in = image + inImage + (phase.first + phase.begin * step);
    clearRun(out, phase.begin);
    if (step == 1)
      putRun<Copied>(in, out + phase.begin, phase.end - phase.begin);
    else
      takeEach(in, step, out + phase.begin, phase.end - phase.begin);
    clearRun(out + phase.end, width - phase.end);
  });
}

void gather(const Windows &windows, const float *from, float *image) {
  int64_t step = windows.columnStep;
  clearRun(image, windows.channels * windows.height * windows.width);
  forEachRow(windows, [&](const Phase &phase, int64_t inSpread, int64_t inImage) {
    if (inImage < 0)
      return;
    const float *in = from + inSpread + phase.begin;
    float *out = image + inImage + (phase.first + phase.begin * step);
    int64_t size = phase.end - phase.begin;
    if (step == 1)
      return putRun<Copied>(in, out, size);
    for (int64_t n = 0; n < size; ++n)
      out[n * step] = in[n];
  });
}

void patchesOf(const Windows &windows, const float *spread, float *matrix, int64_t stride) {
  int64_t step = Spread(windows).rowAt(0, windows.rowStep, 0);
  forEachPlace(windows, [&](int64_t row, int64_t inSpread) {
    putRuns<Copied>(spread + inSpread, step, matrix + row * stride, windows.columns, windows.rows,
                    windows.columns);
  });
}

void addPatches(const Windows &windows, const float *matrix, int64_t stride, float *spread) {
  int64_t step = Spread(windows).rowAt(0, windows.rowStep, 0);
  forEachPlace(windows, [&](int64_t row, int64_t inSpread) {
    putRuns<Added>(matrix + row * stride, windows.columns, spread + inSpread, step, windows.rows,
                   windows.columns);
  });
}

void copyRows(const float *from, int64_t fromStride, float *to, int64_t toStride, int64_t count,
              int64_t size, const float *added) {
  for (int64_t row = 0; row < count; ++row) {
    const __m512 more = _mm512_set1_ps(added ? added[row] : 0);
    for (int64_t x = 0; x < size; x += kLanes) {
      __mmask16 lanes = firstLanes(size - x);
      __m512 value = _mm512_maskz_loadu_ps(lanes, from + row * fromStride + x);
      if (added)
        value = _mm512_add_ps(value, more);
      _mm512_mask_storeu_ps(to + row * toStride + x, lanes, value);
    }
  }
}

float sumOf(const float *from, int64_t size) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t x = 0; x < size; x += kLanes)
    sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(firstLanes(size - x), from + x));
  return _mm512_reduce_add_ps(sum);
}

} // namespace bifront
