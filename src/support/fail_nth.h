// A mode for tests: the Nth check of a run is said to fail although it holds, or its Nth operator,
// allocation or opaque call throws, so that every way out of a graph is taken on purpose.
#pragma once

#include <atomic>
#include <cstdint>

namespace bifront {

enum class Failure : uint8_t { Check, Call, Allocation, Opaque };

// Graphs that are compiled while the option is on ask at each assertion too.
bool failsOnPurposeAtAll();

// The `nth` event of this kind from now on fails, once; 0: none does, and they are counted.
void failNth(Failure kind, uint64_t nth);
// How many events of that kind there have been since.
uint64_t eventsSeen();

namespace detail {
extern std::atomic<bool> countsFailures;
bool countEvent(Failure kind);
} // namespace detail

// Whether this one is to fail.
inline bool failsOnPurpose(Failure kind) {
  return detail::countsFailures.load(std::memory_order_relaxed) && detail::countEvent(kind);
}

// Throws std::runtime_error where it is.
void throwOnPurpose(Failure kind);

} // namespace bifront
