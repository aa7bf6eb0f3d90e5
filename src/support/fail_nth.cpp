#include "support/fail_nth.h"

#include "support/options.h"

#include <stdexcept>

namespace bifront {
namespace {

std::atomic<Failure> failing{Failure::Check};
std::atomic<uint64_t> failsAt{0}, events{0};

} // namespace

namespace detail {

std::atomic<bool> countsFailures{false};

bool countEvent(Failure kind) { return kind == failing.load() && ++events == failsAt.load(); }

} // namespace detail

bool failsOnPurposeAtAll() { return options().failOnPurpose; }

void failNth(Failure kind, uint64_t nth) {
  failing = kind;
  failsAt = nth;
  events = 0;
  detail::countsFailures = failsOnPurposeAtAll();
}

uint64_t eventsSeen() { return events; }

void throwOnPurpose(Failure kind) {
  if (failsOnPurpose(kind))
    throw std::runtime_error("fails on purpose (BIFRONT_FAIL_ON_PURPOSE)");
}

} // namespace bifront
