// The Python functions around a capture (convert.h), and the random generators that it must leave
// alone.
#pragma once

#include "speculate/random_state.h"

#include "support/py_ref.h"

namespace bifront {

// bifront._reachable_state.reachable; borrowed.
PyObject *reachableStateHook();

// Runs the Python hooks that reroute torch.autograd and the like to capture.
class HookScope {
public:
  HookScope(); // throws ConversionError
  ~HookScope();
  HookScope(const HookScope &) = delete;
};

// Capture draws nothing: when the random stream has moved, the program seeded it or drew behind
// PyTorch's back. Puts it back in any case.
struct RandomStateGuard {
  ~RandomStateGuard() {
    if (before.moved())
      before.restore();
  }
  RandomState before;
};

// The generators of Python and numpy, which a capture must leave alone as well.
class ForeignRandomGuard {
public:
  ForeignRandomGuard(); // throws ConversionError
  ~ForeignRandomGuard() { restore(); }
  ForeignRandomGuard(const ForeignRandomGuard &) = delete;
  // Whether they had moved.
  bool restore();

private:
  PyRef before_;
};

} // namespace bifront
