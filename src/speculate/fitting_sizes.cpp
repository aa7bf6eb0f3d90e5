#include "speculate/fitting_sizes.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace bifront {

std::optional<std::vector<int64_t>>
FittingSizes::find(std::vector<int64_t> start, const std::vector<int64_t> &apart, From from) const {
  constexpr int kMostRounds = 4;
  const std::vector<int64_t> none(start.size());
  const Wanted attempts[] = {
      {apart.empty() ? none : apart, true}, {apart.empty() ? none : apart, false}, {none, false}};
  for (const Wanted &wanted : attempts) {
    if (wanted.awayFromEdges && from == From::Call)
      continue;
    std::vector<int64_t> sizes = start;
    for (int round = 0; round < kMostRounds; ++round)
      for (size_t i = 0; i < sizes.size() && numWrong(sizes, wanted) > 0; ++i)
        improve(sizes, i, wanted);
    if (numWrong(sizes, wanted) == 0)
      return sizes;
  }
  return std::nullopt;
}

bool FittingSizes::truth(const Question &question, const std::vector<int64_t> &sizes) const {
  std::vector<c10::SymNode> nodes;
  for (size_t size : question.sizes)
    nodes.push_back(maker_->wrap_int(sizes[size]));
  return SymbolicScalar::of(question.asked.ask(nodes))->intIn(0) != 0;
}

bool FittingSizes::fits(const std::vector<int64_t> &sizes) const {
  return numWrong(sizes, {std::vector<int64_t>(sizes.size()), false}) == 0;
}

bool FittingSizes::isOnEdge(const std::vector<int64_t> &sizes, size_t which) const {
  return std::ranges::any_of(questions_, [&](const Question &question) {
    if (std::ranges::count(question.sizes, which) == 0)
      return false;
    bool here = truth(question, sizes);
    std::vector<int64_t> next = sizes;
    return std::ranges::any_of(std::initializer_list<int64_t>{-1, 1}, [&](int64_t step) {
      next[which] = sizes[which] + step;
      return truth(question, next) != here;
    });
  });
}

size_t FittingSizes::numWrong(const std::vector<int64_t> &sizes, const Wanted &wanted) const {
  size_t wrong = std::ranges::count_if(questions_, [&](const Question &question) {
    return question.answer && truth(question, sizes) != *question.answer;
  });
  for (size_t i = 0; i < sizes.size(); ++i)
    wrong += sizes[i] == wanted.apart[i] || others_.contains(sizes[i]) ||
             std::ranges::count(sizes, sizes[i]) > 1 ||
             (wanted.awayFromEdges && isOnEdge(sizes, i));
  return wrong;
}

// What has the most in common with the call's size comes first, as the program may divide by that,
// and then what lies near it.
std::vector<int64_t> FittingSizes::candidates(int64_t now) const {
  constexpr int64_t kMost = 1 << 14;
  int64_t most = *std::ranges::max_element(now_);
  for (const Question &question : questions_)
    most = std::max(most, question.asked.largestNumber());
  std::vector<std::tuple<int64_t, int64_t, int64_t>> order;
  for (int64_t size = 2; size <= std::min(2 * most, kMost); ++size)
    order.emplace_back(-std::gcd(size, now), std::abs(size - now), size);
  std::ranges::sort(order);
  std::vector<int64_t> sizes;
  for (const auto &[divides, distance, size] : order)
    sizes.push_back(size);
  return sizes;
}

void FittingSizes::improve(std::vector<int64_t> &sizes, size_t which, const Wanted &wanted) const {
  std::vector<int64_t> tried = sizes;
  size_t least = numWrong(sizes, wanted);
  for (int64_t size : candidates(now_[which])) {
    tried[which] = size;
    if (size_t wrong = numWrong(tried, wanted); wrong < least) {
      least = wrong;
      sizes[which] = size;
    }
    if (least == 0)
      return;
  }
}

} // namespace bifront
