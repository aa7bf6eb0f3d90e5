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

void fillRun(float *to, int64_t size, float value) {
  for (int64_t x = 0; x < size; x += kLanes)
    _mm512_mask_storeu_ps(to + x, firstLanes(size - x), _mm512_set1_ps(value));
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

// For vectors of windows side by side: their row, their first column, and which are there.
template <typename Use> void forSomeWindows(const Windows &of, const Use &use) {
  for (int64_t row = 0; row < of.rows; ++row)
    for (int64_t column = 0; column < of.columns; column += kLanes)
      use(row, column, firstLanes(of.columns - column));
}

// Of windows over one channel: what the first one sees at each of its places in the spread image.
struct Places {
  explicit Places(const Windows &of) : rowStep(Spread(of).rowAt(0, of.rowStep, 0)) {
    forEachPlace(of, [&](int64_t k, int64_t inSpread) { first[k] = inSpread; });
  }
  __m512 of(const float *spread, int64_t place, int64_t row, int64_t column,
            __mmask16 lanes) const {
    return _mm512_maskz_loadu_ps(lanes, spread + first[place] + row * rowStep + column);
  }
  int64_t rowStep, first[kMostPlaces];
};

void storeAsLong(__m512i values, __mmask16 lanes, int64_t *to) {
  _mm512_mask_storeu_epi64(to, static_cast<__mmask8>(lanes),
                           _mm512_cvtepi32_epi64(_mm512_castsi512_si256(values)));
  _mm512_mask_storeu_epi64(to + kLanes / 2, static_cast<__mmask8>(lanes >> (kLanes / 2)),
                           _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(values, 1)));
}

int64_t countAlong(int64_t size, int64_t window, int64_t step, int64_t padding) {
  int64_t free = size + 2 * padding - window;
  return free < 0 ? 0 : free / step + 1;
}

} // namespace

Windows windowsOver(int64_t channels, Extent image, Extent window, Extent step, Extent padding) {
  return {channels,
          image.rows,
          image.columns,
          window.rows,
          window.columns,
          step.rows,
          step.columns,
          padding.rows,
          padding.columns,
          countAlong(image.rows, window.rows, step.rows, padding.rows),
          countAlong(image.columns, window.columns, step.columns, padding.columns)};
}

int64_t spreadSize(const Windows &windows) { return Spread(windows).size(windows.channels); }

int64_t rowsOfSpread(const Windows &windows) {
  const Spread spread(windows);
  return windows.channels * spread.height * spread.phases;
}

void spread(const Windows &windows, const float *image, float *to, float padding) {
  int64_t width = Spread(windows).width, step = windows.columnStep;
  forEachRow(windows, [&](const Phase &phase, int64_t inSpread, int64_t inImage) {
    float *out = to + inSpread;
    if (inImage < 0)
      return fillRun(out, width, padding);
    const float *in = image + inImage + (phase.first + phase.begin * step);
    fillRun(out, phase.begin, padding);
    if (step == 1)
      putRun<Copied>(in, out + phase.begin, phase.end - phase.begin);
    else
      takeEach(in, step, out + phase.begin, phase.end - phase.begin);
    fillRun(out + phase.end, width - phase.end, padding);
  });
}

void gather(const Windows &windows, const float *from, float *image) {
  int64_t step = windows.columnStep;
  fillRun(image, windows.channels * windows.height * windows.width, 0);
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

void averagePatches(const Windows &windows, const float *spread, const float *rowCounts,
                    const float *columnCounts, float *averages) {
  const Places places(windows);
  forSomeWindows(windows, [&](int64_t row, int64_t column, __mmask16 lanes) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t k = 0; k < windows.depth(); ++k)
      sum = _mm512_add_ps(sum, places.of(spread, k, row, column, lanes));
    __m512 counts = _mm512_mul_ps(_mm512_set1_ps(rowCounts[row]),
                                  _mm512_maskz_loadu_ps(lanes, columnCounts + column));
    _mm512_mask_storeu_ps(averages + row * windows.columns + column, lanes,
                          _mm512_maskz_div_ps(lanes, sum, counts));
  });
}

void divideByCounts(const Windows &windows, const float *from, const float *rowCounts,
                    const float *columnCounts, float *to) {
  forSomeWindows(windows, [&](int64_t row, int64_t column, __mmask16 lanes) {
    int64_t at = row * windows.columns + column;
    __m512 counts = _mm512_mul_ps(_mm512_set1_ps(rowCounts[row]),
                                  _mm512_maskz_loadu_ps(lanes, columnCounts + column));
    _mm512_mask_storeu_ps(
        to + at, lanes,
        _mm512_maskz_div_ps(lanes, _mm512_maskz_loadu_ps(lanes, from + at), counts));
  });
}

void greatestPatches(const Windows &windows, const float *spread, float *values, int64_t *places) {
  const Places seen(windows);
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i apart =
      _mm512_mullo_epi32(lane, _mm512_set1_epi32(static_cast<int>(windows.columnStep)));
  forSomeWindows(windows, [&](int64_t row, int64_t column, __mmask16 lanes) {
    int64_t top = row * windows.rowStep - windows.rowPadding;
    int64_t left = column * windows.columnStep - windows.columnPadding;
    auto rowAt = [&](int64_t y) { return _mm512_set1_epi32(static_cast<int>(y * windows.width)); };
    const __m512i lefts = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(left)), apart);
    __m512 most = _mm512_set1_ps(-__builtin_inff());
    __m512i at =
        _mm512_add_epi32(rowAt(top > 0 ? top : 0), _mm512_max_epi32(lefts, _mm512_setzero_si512()));
    for (int64_t i = 0, k = 0; i < windows.windowHeight; ++i)
      for (int64_t j = 0; j < windows.windowWidth; ++j, ++k) {
        __m512 next = seen.of(spread, k, row, column, lanes);
        __mmask16 isMore = _mm512_cmp_ps_mask(next, most, _CMP_GT_OQ) |
                           _mm512_cmp_ps_mask(next, next, _CMP_UNORD_Q);
        most = _mm512_mask_mov_ps(most, isMore, next);
        at = _mm512_mask_add_epi32(at, isMore, rowAt(top + i),
                                   _mm512_add_epi32(lefts, _mm512_set1_epi32(static_cast<int>(j))));
      }
    int64_t to = row * windows.columns + column;
    _mm512_mask_storeu_ps(values + to, lanes, most);
    storeAsLong(at, lanes, places + to);
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
