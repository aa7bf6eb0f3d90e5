// `backward()` and `torch.autograd.grad` during capture: one gradient op of the graph.
#pragma once

#include "capture/capture.h"

#include <torch/csrc/autograd/function.h>

namespace bifront {

struct BackwardCall {
  torch::autograd::variable_list outputs;
  torch::autograd::variable_list seeds; // one per output
  bool retainGraph = false;
  bool createGraph = false;
  torch::autograd::variable_list inputs; // empty: all leaves
  bool allowUnused = false;
  bool accumulate = false; // into `.grad`, as backward() does
  bool ofResults = false;  // it runs behind the call, if at all
};

// What autograd's engine would do, in the graph. PyTorch's engine runs too, on proxies and without
// being recorded: it says which gradients exist, finds tensors that were modified or freed since,
// frees what it frees, and makes the history of gradients that are differentiated again. Returns
// the gradients of `inputs`, undefined for those that the outputs do not depend on.
torch::autograd::variable_list captureBackward(Capture &capture, const BackwardCall &call);

// The gradients that will flow from results of the function into what came in, once seeds for the
// results are known.
struct ResultGradients {
  std::vector<uint32_t> inputs; // with a gradient each
  std::vector<ValueId> gradients;
  std::vector<std::vector<uint32_t>> from; // the results that each of them comes from
};
ResultGradients captureResultGradients(Capture &capture,
                                       const torch::autograd::variable_list &results);

} // namespace bifront
