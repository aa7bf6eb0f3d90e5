// Python code in the middle of a backward: hooks, and what torch.autograd.Function has. PyTorch's
// engine goes through the history as it would, on proxies, and so calls that code in its order; all
// that both compute is recorded op by op.
#pragma once

#include "capture/recording.h"

#include <torch/csrc/autograd/function.h>

#include <utility>
#include <vector>

namespace bifront {

// Whether the engine runs Python code at the node, or keeps its gradient.
bool runsPython(torch::autograd::Node &node);

// While it lives, the engine finds the walk in the place of the Python hooks of nodes. Needs the
// GIL where it is made and destroyed.
class WalkedHooks {
public:
  explicit WalkedHooks(Recording &recording) : recording_(recording) {}
  ~WalkedHooks();
  WalkedHooks(const WalkedHooks &) = delete;
  WalkedHooks &operator=(const WalkedHooks &) = delete;

  void add(torch::autograd::Node &node);

private:
  void replace(PyObject *&hooks);

  Recording &recording_;
  std::vector<std::pair<PyObject **, PyRef>> replaced_; // with what was there
};

} // namespace bifront
