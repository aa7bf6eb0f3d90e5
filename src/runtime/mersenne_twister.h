// The random numbers of MT19937 (Matsumoto and Nishimura, 1998), as many at once as its state
// holds. Plain memory and numbers: nothing of torch is named here. Tested by
// unittests/runtime/bernoulli_draws_test.cpp.
#pragma once

#include <cstdint>

namespace bifront {

struct MersenneTwister {
  static constexpr int kWords = 624;
  uint32_t *words;
  int64_t next; // of the words, the first that has not been drawn; kWords: they are to be made anew
};

// A 1 for each number of 53 bits, drawn as two of 32, that is less than `limit`; else 0.
void drawBelow(MersenneTwister &state, uint64_t limit, float *to, int64_t count);

} // namespace bifront
