#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/equal.h>

#include <mutex>

namespace bifront {

// The default generator as it was, so that CPython can draw the same numbers again.
class RandomState {
public:
  explicit RandomState(bool needed = true) {
    if (needed)
      saved_ = now();
  }
  bool moved() const { return saved_.defined() && !at::equal(saved_, now()); }
  bool isSaved() const { return saved_.defined(); }
  void restore() const {
    if (saved_.defined())
      set(saved_);
  }

  static void set(const at::Tensor &state) {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    std::scoped_lock lock(generator.mutex());
    generator.set_state(state);
  }
  static at::Tensor now() {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    std::scoped_lock lock(generator.mutex());
    return generator.get_state();
  }

private:
  at::Tensor saved_;
};

} // namespace bifront
