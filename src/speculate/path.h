// What a call decided where Python had to know a value of the graph, in order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bifront {

struct Decision {
  // So that a path is not taken for one of other code.
  std::string place, what;
  int64_t outcome = 0;
  bool isTruth = false;
  bool asks(const Decision &other) const { return place == other.place && what == other.what; }
  bool operator==(const Decision &) const = default;
};
using Path = std::vector<Decision>;

// Of a path that the capture does not come to the end of.
constexpr const char *kOtherWay = "an earlier call went another way";

// The text of the assertion at the end of a path that CPython has to run begins with this.
constexpr std::string_view kPathOfPython = "a path that CPython runs: ";

} // namespace bifront
