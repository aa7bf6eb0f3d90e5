// Sizes for which a set of questions has the answers that it has on one path: those of the call
// where they have, else others, which stand for them in the shape worlds.
#pragma once

#include "capture/size_question.h"

#include <optional>
#include <set>
#include <vector>

namespace bifront {

class FittingSizes {
public:
  struct Question {
    const SizeQuestion &asked;
    std::vector<size_t> sizes; // which of those that are looked for it follows from
    std::optional<bool> answer;
  };

  // `maker`: any node of the recording. `now`: the sizes of the call. `others`: those that stand
  // for something else.
  FittingSizes(c10::SymNode maker, std::vector<int64_t> now, std::set<int64_t> others)
      : maker_(std::move(maker)), now_(std::move(now)), others_(std::move(others)) {}

  void add(Question question) { questions_.push_back(std::move(question)); }

  // What the search begins with, and how it goes on: away from sizes next to which an answer is
  // another, where that can be, as one that is special there may be so for the program too.
  enum class From : uint8_t { Call, AwayFromEdges };
  // Each size is another than in `apart`, where that can be. Nothing where there are none.
  std::optional<std::vector<int64_t>> find(std::vector<int64_t> start,
                                           const std::vector<int64_t> &apart, From from) const;
  bool fits(const std::vector<int64_t> &sizes) const;
  bool isOnEdge(const std::vector<int64_t> &sizes, size_t which) const;
  bool truth(const Question &question, const std::vector<int64_t> &sizes) const;

private:
  struct Wanted {
    std::vector<int64_t> apart;
    bool awayFromEdges;
  };
  size_t numWrong(const std::vector<int64_t> &sizes, const Wanted &wanted) const;
  std::vector<int64_t> candidates(int64_t now) const;
  void improve(std::vector<int64_t> &sizes, size_t which, const Wanted &wanted) const;

  c10::SymNode maker_;
  std::vector<int64_t> now_;
  std::set<int64_t> others_;
  std::vector<Question> questions_;
};

} // namespace bifront
