// Frames between their runs that keep much memory. Programs that run in turn have it in turn, so
// that it is as much as the largest of them needs, not what all need together.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

namespace bifront {

struct Frame;

class IdleFrames {
public:
  // What keeps less has its memory to itself.
  static constexpr size_t kWorthTakingOver = size_t{64} << 20;

  // Of the process.
  static IdleFrames &instance();

  // The frame's run is over.
  void add(Frame &frame);
  // The frame is about to run: it takes over what it needs of others' memory.
  void wake(Frame &frame);
  // The frame is no more, or no longer idle.
  void remove(Frame &frame);

private:
  std::mutex mutex;
  std::vector<Frame *> frames;
  std::atomic<size_t> count{0}; // of frames, for who only wants to know whether there are any
};

} // namespace bifront
