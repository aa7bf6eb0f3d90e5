// How deep functions of a graph may call each other. CPython raises RecursionError at a depth that
// the program can set; a run that would go deeper ends, and CPython decides.
#pragma once

#include <cstdint>

namespace bifront {

// One call in progress in this thread. Throws where there are as many as are allowed.
class CallInProgress {
public:
  CallInProgress();
  ~CallInProgress();
  CallInProgress(const CallInProgress &) = delete;
};

// Of the runs that this thread begins from here on.
void allowCallDepth(uint32_t deepest);

} // namespace bifront
