// The statements that are still to run in a frame, as the bodies that run in it are entered and
// left.
#pragma once

#include "frontend/interpreter.h"

namespace bifront {

// While it lives, `body` is among the pending ones of the frame.
class Pending {
public:
  Pending(PythonFrame &frame, PendingBody body) : frame_(frame), depth_(frame.pending.size()) {
    frame.pending.push_back(body);
  }
  ~Pending() { frame_.pending.resize(depth_); }
  Pending(const Pending &) = delete;
  void setNext(size_t next) { frame_.pending[depth_].next = next; }

private:
  PythonFrame &frame_;
  size_t depth_;
};

} // namespace bifront
