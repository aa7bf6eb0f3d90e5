// A question about sizes of arguments whose answer decides the path, as a conversion has met it and
// the next ones ask it ahead of all else.
#pragma once

#include "capture/size_question.h"
#include "speculate/varying.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace bifront {

struct AskedSizes {
  std::shared_ptr<const SizeQuestion> question;
  std::vector<Varying::Dimension> of; // the dimensions that it is about

  bool operator==(const AskedSizes &other) const {
    return question->sameSteps(*other.question) &&
           std::ranges::equal(of, other.of, [](const auto &one, const auto &two) {
             return one.dimension == two.dimension && samePlace(one.place, two.place);
           });
  }
};

} // namespace bifront
