// PyTorch's modes, which change what a program computes.
#pragma once

#include <ATen/ThreadLocalState.h>
#include <c10/core/ScalarType.h>

namespace bifront {

// PyTorch's process- and thread-wide settings that change what a program computes.
struct GlobalModes {
  bool grad, inference, deterministic, autocast, autocastCaches, onednn, flushesSubnormals;
  at::ScalarType defaultDtype, autocastDtype;
  int matmulPrecision; // an at::Float32MatmulPrecision
  static GlobalModes now();
  bool operator==(const GlobalModes &) const = default;
};

// Puts all of these and the thread's other modes back where its life ends.
class ModesGuard {
public:
  ModesGuard();
  ~ModesGuard();
  ModesGuard(const ModesGuard &) = delete;

private:
  GlobalModes modes_;
  at::ScalarType autocastDtype_;
  bool autocastCaches_, warnOnly_;
  int autocastNesting_;
  at::ThreadLocalState thread_;
};

// A mode of somebody else's is active, of operators, functions or saved tensors: nothing may be
// assumed. That the CPU is the default device, as it is without a mode, is none.
bool foreignModeActive();

// Within torch.func's transforms, or forward-mode differentiation.
bool isTransforming();

// Until the thread's state is put back the default device is the CPU without a mode.
void leaveDefaultDevice();

// Each operator of autograd says where it was called: the program's own have to run.
bool detectsAnomalies();

} // namespace bifront
