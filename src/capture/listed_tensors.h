// The tensors of which lists of the graph have copies, and those that come to have other rows
// behind a branch or in a loop. Python has the tensor itself: to write it, by any of its names,
// would change the item too. So nobody may write what may be an item, nor what is read of a list.
#pragma once

#include "ir/graph_recorder.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace bifront {

class ListedTensors {
public:
  void noteViews(ValueId of, const std::vector<ValueId> &views) {
    for (ValueId view : views)
      bases_[view] = baseOf(of);
  }
  ValueId baseOf(ValueId value) const {
    auto found = bases_.find(value);
    return found == bases_.end() ? value : found->second;
  }

  // Neither a view nor the base of one.
  bool isAlone(ValueId value) const {
    return !bases_.contains(value) &&
           std::none_of(bases_.begin(), bases_.end(),
                        [&](const auto &view) { return view.second == value; });
  }

  // `isMerged`: the base is one of several tensors, made before it. False: it may have been
  // written, or will be when it is this tensor again.
  bool keep(ValueId value, bool isMerged) {
    ValueId base = baseOf(value);
    any_ = true;
    isMerged = kept_.insert(base).second && isMerged; // nobody has written it since
    lastMerged_ = isMerged ? std::max(lastMerged_, base) : lastMerged_;
    return !writesMerged_ && !writtenAgain_.contains(base) && (!isMerged || writtenAgain_.empty());
  }

  void noteItem(ValueId value) { items_.insert(baseOf(value)); }
  bool isItem(ValueId value) const { return items_.contains(baseOf(value)); }
  bool any() const { return any_; }

  // Whether a write may happen now. `isOuter`: of a tensor from outside of the branch, the loop or
  // the function that the write is in, which may write it again.
  bool mayWrite(ValueId value, bool isFromOutside, bool isMerged, bool isOuter) {
    if (isFromOutside) // nobody keeps it
      return true;
    ValueId base = baseOf(value);
    writesMerged_ = writesMerged_ || isMerged;
    if (isOuter && !isMerged)
      writtenAgain_.insert(base);
    return !kept_.contains(base) && !items_.contains(base) && base >= lastMerged_ &&
           !(isMerged && any_);
  }

private:
  std::unordered_map<ValueId, ValueId> bases_; // of views
  std::unordered_set<ValueId> kept_, items_;
  std::unordered_set<ValueId> writtenAgain_;
  ValueId lastMerged_ = 0;
  bool writesMerged_ = false, any_ = false;
};

} // namespace bifront
