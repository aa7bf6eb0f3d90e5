// What has been made since a moment, by the account of Python's garbage collector: a second opinion
// on objects that nobody has said are new.
#pragma once

#include "support/py_ref.h"

#include <functional>
#include <optional>
#include <unordered_set>

namespace bifront {

// Frees garbage in cycles, first what has been made lately; whether it is enough.
bool collectUntil(const std::function<bool()> &isEnough);

// While it lives, the collector does not run by itself.
class YoungObjects {
public:
  YoungObjects();
  ~YoungObjects();
  YoungObjects(const YoungObjects &) = delete;
  YoungObjects &operator=(const YoungObjects &) = delete;

  // Dicts without containers in them are not on the collector's account: false for these.
  bool contains(PyObject *object);

private:
  bool collects_;
  std::optional<std::unordered_set<PyObject *>> young_; // when it was first asked for
};

} // namespace bifront
