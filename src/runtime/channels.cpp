// Compiled for AVX-512 as matrix_product.cpp is: nothing inline of another header may be
// instantiated here.
#include "runtime/channels.h"

#include <immintrin.h>

namespace bifront {
namespace {

constexpr int64_t kLanes = 16;

// Calls `use` for each vector of the channel: where it begins, and the lanes that are there.
template <typename Use> void forEachVector(const Channel &channel, const Use &use) {
  for (int64_t image = 0; image < channel.images; ++image) {
    int64_t at = image * channel.step, end = at + channel.size;
    for (; at + kLanes <= end; at += kLanes)
      use(at, static_cast<__mmask16>(0xffff));
    if (at < end)
      use(at, static_cast<__mmask16>((1u << (end - at)) - 1));
  }
}

// Of floats, as doubles: sums of many would lose what matters.
struct Sum {
  void add(__m512 values) {
    low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(values)));
    high = _mm512_add_pd(high, _mm512_cvtps_pd(upperHalf(values)));
  }
  static __m256 upperHalf(__m512 values) {
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(values), 1));
  }
  double total() const { return _mm512_reduce_add_pd(_mm512_add_pd(low, high)); }
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
};

} // namespace

Moments momentsOf(const Channel &channel, const float *from) {
  Sum sum;
  forEachVector(channel, [&](int64_t at, __mmask16 lanes) {
    sum.add(_mm512_maskz_loadu_ps(lanes, from + at));
  });
  double mean = sum.total() / static_cast<double>(channel.count());
  const __m512d means = _mm512_set1_pd(mean);
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  forEachVector(channel, [&](int64_t at, __mmask16 lanes) {
    __m512 values = _mm512_maskz_loadu_ps(lanes, from + at);
    auto first = static_cast<__mmask8>(lanes), second = static_cast<__mmask8>(lanes >> 8);
    __m512d beside =
        _mm512_maskz_sub_pd(first, _mm512_cvtps_pd(_mm512_castps512_ps256(values)), means);
    low = _mm512_fmadd_pd(beside, beside, low);
    beside = _mm512_maskz_sub_pd(second, _mm512_cvtps_pd(Sum::upperHalf(values)), means);
    high = _mm512_fmadd_pd(beside, beside, high);
  });
  return {mean, _mm512_reduce_add_pd(_mm512_add_pd(low, high))};
}

void scaleAndShift(const Channel &channel, const float *from, float scale, float shift, float *to) {
  const __m512 scales = _mm512_set1_ps(scale), shifts = _mm512_set1_ps(shift);
  forEachVector(channel, [&](int64_t at, __mmask16 lanes) {
    __m512 values = _mm512_maskz_loadu_ps(lanes, from + at);
    _mm512_mask_storeu_ps(to + at, lanes, _mm512_fmadd_ps(values, scales, shifts));
  });
}

GradientSums gradientSums(const Channel &channel, const float *from, float mean,
                          const float *gradients) {
  const __m512 means = _mm512_set1_ps(mean);
  Sum sum, product;
  forEachVector(channel, [&](int64_t at, __mmask16 lanes) {
    __m512 gradient = _mm512_maskz_loadu_ps(lanes, gradients + at);
    __m512 beside = _mm512_maskz_sub_ps(lanes, _mm512_maskz_loadu_ps(lanes, from + at), means);
    sum.add(gradient);
    product.add(_mm512_mul_ps(gradient, beside));
  });
  return {sum.total(), product.total()};
}

void putGradients(const Channel &channel, const float *from, const float *gradients,
                  const GradientOfChannel &gradient, float *to) {
  const __m512 means = _mm512_set1_ps(gradient.mean), slopes = _mm512_set1_ps(gradient.slope),
               shifts = _mm512_set1_ps(gradient.shift), scales = _mm512_set1_ps(gradient.scale);
  forEachVector(channel, [&](int64_t at, __mmask16 lanes) {
    __m512 beside = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, from + at), means);
    __m512 shifted = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, gradients + at), shifts);
    _mm512_mask_storeu_ps(to + at, lanes,
                          _mm512_mul_ps(scales, _mm512_fnmadd_ps(slopes, beside, shifted)));
  });
}

} // namespace bifront
