// A TorchDispatchMode in C++: while it is active on a thread, every op below autograd is inferred
// on shapes and recorded, and none is run.
#pragma once

#include "capture/recording.h"

#include <memory>

namespace bifront {

class CaptureMode {
public:
  // Needs the GIL. At most one is active on a thread.
  explicit CaptureMode(std::shared_ptr<Recording> recording);
  ~CaptureMode();
  CaptureMode(const CaptureMode &) = delete;
  CaptureMode &operator=(const CaptureMode &) = delete;

  // What this thread records into, or null.
  static Recording *active();

  // While one lives, this thread runs ops as if there were no capture, and may capture others.
  class Pause {
  public:
    Pause();
    ~Pause();
    Pause(const Pause &) = delete;

  private:
    Recording *recording_;
    std::optional<Recording::Inference> notTheProgram_;
    bool tookOff_ = false;
  };

private:
  std::shared_ptr<Recording> recording_;
  int64_t depth_; // of the stack of modes below ours
};

} // namespace bifront
