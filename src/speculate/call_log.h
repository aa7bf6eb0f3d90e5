// The opaque calls that a run of a graph has made, and what they returned. Where the run fails,
// CPython runs the call from the start and takes the results from the log in their order, so that
// each call is made once (docs/decisions/019).
#pragma once

#include "frontend/opaque_sites.h"
#include "speculate/guards.h"
#include "support/py_ref.h"

#include <ATen/ThreadLocalState.h>
#include <ATen/core/MT19937RNGEngine.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace bifront {

// Of torch's default generator. It allocates no tensor, which may fail.
struct TorchState {
  TorchState();
  void restore() const;

private:
  at::mt19937 engine_;
  std::optional<float> nextFloat_;
  std::optional<double> nextDouble_;
};

struct LoggedCall {
  std::shared_ptr<const CallPlace> place;
  PyRef result, exception; // one of them
  // How random generators stood behind it that the run has drawn from before; of torch's own, where
  // the graph draws from it.
  std::vector<std::pair<PyRef, PyRef>> sources = {};
  std::shared_ptr<const TorchState> torchState = {};
  // Python's values that the run has read, and that the call has changed.
  std::vector<ValueChange> changes = {};
  std::optional<at::ThreadLocalState> modes = {}; // that it has switched
};
using CallLog = std::vector<LoggedCall>;

// While one lives, calls at the places of the log are not made again in this thread. What calls
// have changed is as it was before them, until their turn comes.
class Replay {
public:
  explicit Replay(CallLog log);
  ~Replay();
  Replay(const Replay &) = delete;
  static Replay *current();
  // Nothing where that call is to be made; else what it has returned, or null with an exception.
  std::optional<PyObject *> take(const CallPlace &place);

private:
  CallLog log_;
  size_t next_ = 0;
  Replay *outer_;
};

// While one lives, what calls return in this thread is noted.
class Sampling {
public:
  explicit Sampling(OpaqueSites &sites);
  ~Sampling();
  Sampling(const Sampling &) = delete;
  static Sampling *current();
  OpaqueSites &sites;

private:
  Sampling *outer_;
};

// While one lives, these functions run copies of their code that ask the two above before each
// call. For all threads: without one of the two the copies do what the code does.
class Rerouted {
public:
  explicit Rerouted(const std::vector<PyRef> &functions);
  ~Rerouted();
  Rerouted(const Rerouted &) = delete;
  // Whether there is such a copy.
  static bool canBe(PyObject *function);
  // Whether any function runs one now.
  static bool isAny();

private:
  std::vector<PyRef> functions_;
};

} // namespace bifront
