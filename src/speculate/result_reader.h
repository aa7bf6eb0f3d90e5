// Values of the graph in what a call leaves behind: what it returns, and what it keeps in Python's
// objects.
#pragma once

#include "speculate/converted_graph.h"
#include "speculate/proxies.h"

#include "capture/capture.h"

#include <functional>
#include <optional>
#include <vector>

namespace bifront {

class ResultReader {
public:
  ResultReader(Capture &capture, const Proxies &proxies) : capture_(capture), proxies_(proxies) {}

  // Which of `results` the object is.
  std::optional<uint32_t> leafOf(PyObject *value);

  std::function<bool(PyObject *)> isKept; // as PythonEffects'
  std::vector<GraphResult> results;
  std::vector<ValueId> returns;
  // Tensors whose history is still to be gone through, and their returns.
  std::vector<at::Tensor> trainable;
  std::vector<uint32_t> trainableReturns;

private:
  std::optional<GraphResult> resultOf(PyObject *value);
  GraphResult tensorResult(PyObject *value);
  void refuseView(const at::Tensor &tensor);
  std::optional<GraphResult> outsideResult(const at::Tensor &tensor);
  GraphResult numberResult(const c10::SymNode &node);
  uint32_t addReturn(ValueId value);

  Capture &capture_;
  const Proxies &proxies_;
};

} // namespace bifront
