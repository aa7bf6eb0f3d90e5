#include "capture/asserted_history.h"

#include "capture/merged_history.h"
#include "capture/recording.h"

#include <torch/csrc/autograd/functions/accumulate_grad.h>

namespace bifront {

using namespace torch::autograd;

namespace {

ValueId either(GraphRecorder &graph, ValueId one, ValueId other) {
  ValueId both[] = {one, other};
  return graph.scalar(ScalarOp::Or, both);
}

// Bools of the graph: whether the history of one of `outputs` leads to each of `targets`. It is
// asked once.
std::vector<ValueId> reached(Capture &capture, const variable_list &outputs,
                             const variable_list &targets) {
  Recording &recording = capture.recording();
  GraphRecorder &graph = recording.graph();
  std::vector<ValueId> to, any(targets.size());
  for (const at::Tensor &target : targets)
    to.push_back(capture.valueOf(target));
  for (size_t number = 0; number < outputs.size(); ++number) {
    ValueId output = capture.valueOf(outputs[number]);
    std::vector<ValueId> unknown;
    for (ValueId target : to)
      if (!recording.reached.contains({output, target}))
        unknown.push_back(target);
    if (!unknown.empty()) {
      std::vector<ValueId> flags = graph.reached({&output, 1}, unknown);
      for (size_t i = 0; i < unknown.size(); ++i)
        recording.reached.emplace(std::pair(output, unknown[i]), flags[i]);
    }
    for (size_t i = 0; i < to.size(); ++i) {
      ValueId flag = recording.reached.at({output, to[i]});
      any[i] = number == 0 ? flag : either(graph, any[i], flag);
    }
  }
  return any;
}

variable_list leavesBehind(const at::Tensor &tensor) {
  variable_list leaves;
  Edge root = impl::gradient_edge(tensor);
  visitHistory({&root, 1}, [&](Node &node) {
    if (auto *leaf = dynamic_cast<AccumulateGrad *>(&node))
      leaves.push_back(leaf->variable);
    return true;
  });
  return leaves;
}

} // namespace

void assertReached(Capture &capture, const variable_list &outputs, const variable_list &targets) {
  if (targets.empty())
    return;
  for (ValueId flag : reached(capture, outputs, targets))
    capture.recording().graph().assertTrue(
        flag, "backward comes to the tensors that it was seen to come to");
}

void requireSureHistory(Capture &capture, const at::Tensor &tensor, const std::string &why) {
  const MergedHistory *history = capture.unsureHistory(tensor);
  if (!history)
    return;
  if (history->origin.site || capture.recording().isConditional())
    capture.requireSure(history, why);
  GraphRecorder &graph = capture.recording().graph();
  std::vector<ValueId> flags = reached(capture, {tensor}, leavesBehind(tensor));
  if (flags.empty())
    capture.fail(why);
  ValueId any = flags.front();
  for (size_t i = 1; i < flags.size(); ++i)
    any = either(graph, any, flags[i]);
  graph.assertTrue(any, why);
}

} // namespace bifront
