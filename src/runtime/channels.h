// What batch normalisation makes of one channel of some images. Plain memory and numbers: nothing
// of torch is named here. Tested by unittests/runtime/batch_norms_test.cpp.
#pragma once

#include <cstdint>

namespace bifront {

struct Channel {
  int64_t images, size; // elements of each
  int64_t step;         // from image to image

  int64_t count() const { return images * size; }
};

struct Moments {
  double mean, squares; // the sum of squares of what is beside the mean
};
Moments momentsOf(const Channel &channel, const float *from);

// to = scale * from + shift
void scaleAndShift(const Channel &channel, const float *from, float scale, float shift, float *to);

struct GradientSums {
  double sum, product; // of gradients; of each by what is beside the mean
};
GradientSums gradientSums(const Channel &channel, const float *from, float mean,
                          const float *gradients);

// to = scale * (gradient - shift - slope * (from - mean))
struct GradientOfChannel {
  float mean, slope, shift, scale;
};
void putGradients(const Channel &channel, const float *from, const float *gradients,
                  const GradientOfChannel &gradient, float *to);

} // namespace bifront
