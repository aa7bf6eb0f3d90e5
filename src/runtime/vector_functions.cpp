#include "runtime/vector_functions.h"

#include <algorithm>
#include <cstring>

namespace bifront {
namespace {

// What ATen asks for: VML_HA | VML_FTZDAZ_OFF | VML_ERRMODE_IGNORE.
constexpr int64_t kMode = 0x00000002 | 0x00140000 | 0x00000100;

class Row {
public:
  Row(VectorFunction function, int64_t bytes, const int64_t *steps)
      : function(function), bytes(bytes), inStep(steps[0]), outStep(steps[1]) {}

  void run(const char *from, char *to, int64_t n) const {
    bool isDense = inStep == bytes && outStep == bytes;
    for (int64_t done = 0; done < n;) {
      auto count = static_cast<int32_t>(std::min(n - done, isDense ? kMostAtOnce : kBuffered));
      if (isDense)
        function(&count, from + done * inStep, to + done * outStep, &kMode);
      else
        callBuffered(from + done * inStep, to + done * outStep, count);
      done += count;
    }
  }

private:
  static constexpr int64_t kMostAtOnce = 1 << 30, kBuffered = 256;

  void callBuffered(const char *from, char *to, int32_t count) const {
    alignas(64) char in[kBuffered * sizeof(double)], out[kBuffered * sizeof(double)];
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(in + i * bytes, from + i * inStep, bytes);
    function(&count, in, out, &kMode);
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(to + i * outStep, out + i * bytes, bytes);
  }

  VectorFunction function;
  int64_t bytes, inStep, outStep;
};

} // namespace
} // namespace bifront

void bf_vector_function(bifront::VectorFunction function, int64_t bytes, char *const *pointers,
                        const int64_t *strides, int64_t n, int64_t m, const int64_t *steps) {
  bifront::Row row(function, bytes, steps);
  for (int64_t i = 0; i < m; ++i)
    row.run(pointers[0] + i * strides[0], pointers[1] + i * strides[1], n);
}
