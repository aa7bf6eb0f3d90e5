// Compiled for AVX-512 as matrix_product.cpp is: nothing inline of another header may be
// instantiated here.
#include "runtime/mersenne_twister.h"

#include <immintrin.h>

namespace bifront {
namespace {

constexpr int kWords = MersenneTwister::kWords, kAhead = 397;

// words[i] for i from `begin` to `end`, from what stands `ahead` of it: none of these is made by it
// less than 16 words before.
void twist(uint32_t *words, int begin, int end, int ahead) {
#pragma clang loop vectorize(assume_safety)
  for (int i = begin; i < end; ++i) {
    uint32_t mixed = (words[i] & 0x80000000u) | (words[i + 1] & 0x7fffffffu);
    words[i] = words[i + ahead] ^ (mixed >> 1) ^ (words[i + 1] & 1 ? 0x9908b0dfu : 0);
  }
}

void twist(uint32_t *words) {
  twist(words, 0, kWords - kAhead, kAhead);
  twist(words, kWords - kAhead, kWords - 1, kAhead - kWords);
  uint32_t mixed = (words[kWords - 1] & 0x80000000u) | (words[0] & 0x7fffffffu);
  words[kWords - 1] = words[kAhead - 1] ^ (mixed >> 1) ^ (words[0] & 1 ? 0x9908b0dfu : 0);
}

void temper(const uint32_t *words, uint32_t *to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t word = words[i];
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c5680u;
    word ^= (word << 15) & 0xefc60000u;
    to[i] = word ^ (word >> 18);
  }
}

// The first of two words has the higher bits.
void compareBelow(const uint32_t *words, uint64_t limit, float *to, int64_t count) {
  constexpr int64_t kLanes = 8;
  const __m512i bits = _mm512_set1_epi64((1ll << 53) - 1);
  const __m512i limits = _mm512_set1_epi64(static_cast<int64_t>(limit));
  for (int64_t i = 0; i < count; i += kLanes) {
    int64_t left = count - i;
    auto lanes = static_cast<__mmask8>(left >= kLanes ? 0xff : (1u << left) - 1);
    __m512i number = _mm512_rol_epi64(_mm512_maskz_loadu_epi64(lanes, words + 2 * i), 32);
    __mmask8 isBelow = _mm512_cmplt_epu64_mask(_mm512_and_si512(number, bits), limits);
    _mm512_mask_storeu_ps(to + i, lanes, _mm512_maskz_mov_ps(isBelow, _mm512_set1_ps(1)));
  }
}

} // namespace

void drawBelow(MersenneTwister &state, uint64_t limit, float *to, int64_t count) {
  uint32_t drawn[kWords + 1];
  int64_t kept = 0; // a word that waits for its second
  while (count > 0) {
    if (state.next == kWords) {
      twist(state.words);
      state.next = 0;
    }
    int64_t wanted = 2 * count - kept, there = kWords - state.next;
    int64_t taken = wanted < there ? wanted : there;
    temper(state.words + state.next, drawn + kept, taken);
    state.next += taken;
    int64_t pairs = (kept + taken) / 2;
    compareBelow(drawn, limit, to, pairs);
    to += pairs;
    count -= pairs;
    drawn[0] = drawn[2 * pairs];
    kept = (kept + taken) % 2;
  }
}

} // namespace bifront
