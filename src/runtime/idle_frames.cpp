#include "runtime/idle_frames.h"

#include "runtime/frame.h"

namespace bifront {

IdleFrames &IdleFrames::instance() {
  static auto *all = new IdleFrames; // programs may die while the process ends
  return *all;
}

void IdleFrames::add(Frame &frame) {
  if (frame.keptBytes() < kWorthTakingOver)
    return;
  std::lock_guard lock(mutex);
  frames.push_back(&frame);
  count = frames.size();
}

void IdleFrames::remove(Frame &frame) {
  if (count == 0)
    return;
  std::lock_guard lock(mutex);
  std::erase(frames, &frame);
  count = frames.size();
}

void IdleFrames::wake(Frame &frame) {
  remove(frame);
  if (count == 0 || frame.neededBytes() < kWorthTakingOver)
    return;
  std::lock_guard lock(mutex);
  for (Frame *idle : frames)
    frame.takeOver(*idle);
  std::erase_if(frames, [](Frame *idle) { return idle->keptBytes() < kWorthTakingOver; });
  count = frames.size();
}

} // namespace bifront
