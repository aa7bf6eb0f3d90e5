#include "speculate/opaque_run.h"

#include "frontend/random_sources.h"
#include "support/gil.h"
#include "support/pending_exception.h"

#include <algorithm>

namespace bifront {

static thread_local OpaqueRun *currentRun = nullptr;

OpaqueRun::OpaqueRun(bool needed) : isCurrent_(needed) {
  if (isCurrent_)
    outer_ = std::exchange(currentRun, this);
}

OpaqueRun::~OpaqueRun() {
  if (isCurrent_)
    currentRun = outer_;
  if (!sources_.empty() || !held_.empty()) {
    Gil gil;
    sources_.clear();
    held_.clear();
  }
}

OpaqueRun *OpaqueRun::current() { return currentRun; }

void OpaqueRun::keepState(PyObject *source) {
  bool isKept = std::any_of(sources_.begin(), sources_.end(),
                            [&](const auto &kept) { return kept.first.get() == source; });
  if (!isKept)
    sources_.emplace_back(PyRef::share(source), stateOfSource(source));
}

// The last comes first: two sources may share their state.
void OpaqueRun::restore() {
  if (sources_.empty())
    return;
  Gil gil;
  PendingException ofTheRun;
  for (auto kept = sources_.rbegin(); kept != sources_.rend(); ++kept) {
    try {
      setStateOfSource(kept->first.get(), kept->second.get());
    } catch (const PythonError &) {
      PyErr_WriteUnraisable(kept->first.get());
    }
  }
  sources_.clear();
}

} // namespace bifront
