#include "speculate/result_reader.h"

#include "speculate/convert.h"

#include "capture/asserted_history.h"
#include "frontend/kinds.h"
#include "frontend/pointers.h"

#include <torch/csrc/autograd/python_variable.h>

namespace bifront {

static GraphResult::Kind scalarKind(const c10::SymNode &node) {
  return node->is_int()     ? GraphResult::Kind::Int
         : node->is_float() ? GraphResult::Kind::Float
                            : GraphResult::Kind::Bool;
}

std::optional<uint32_t> ResultReader::leafOf(PyObject *value) {
  std::optional<GraphResult> result = resultOf(value);
  if (!result)
    return std::nullopt;
  results.push_back(*result);
  return results.size() - 1;
}

std::optional<GraphResult> ResultReader::resultOf(PyObject *value) {
  if (auto leaf = proxies_.leafOf(value))
    return GraphResult{GraphResult::Kind::Leaf, *leaf, false};
  if (isKept && isKept(value))
    return GraphResult{GraphResult::Kind::Object, addReturn(*pointerOf(value)), false};
  if (pointerOf(value))
    fail(ExitReason::CaptureFailed, "an object that a pointer leads to is returned or kept");
  if (isTensor(value) && capture_.isProxy(THPVariable_Unpack(value)))
    return tensorResult(value);
  if (isExactTensor(value))
    return outsideResult(THPVariable_Unpack(value));
  if (isGraphNumber(value))
    return numberResult(symbolicNumber(value));
  return std::nullopt;
}

GraphResult ResultReader::tensorResult(PyObject *value) {
  const at::Tensor &tensor = THPVariable_Unpack(value);
  if (!THPVariable_CheckExact(value))
    fail(ExitReason::UnsupportedTensor, "a tensor of a subclass is returned");
  requireSureHistory(capture_, tensor,
                     "whether a returned tensor requires grad depends on a branch or a loop");
  GraphResult result{GraphResult::Kind::Tensor, addReturn(capture_.valueOf(tensor)), false};
  if (capture_.isTrainable(tensor)) {
    refuseView(tensor);
    trainable.push_back(tensor);
    trainableReturns.push_back(result.index);
  } else {
    result.isSpent = tensor.requires_grad();
  }
  return result;
}

// Somebody may write to it, and so to what it is a view of.
void ResultReader::refuseView(const at::Tensor &tensor) {
  if (!tensor.is_view())
    return;
  at::Tensor base(tensor._base());
  bool isKnown = !capture_.isProxy(base) || capture_.inputOf(base);
  for (const at::Tensor &other : trainable)
    isKnown = isKnown || other.is_same(base) || (other.is_view() && other._base().is_same(base));
  if (isKnown)
    fail(ExitReason::ReturnsTrainable, "a returned tensor requires grad, and is a view of one "
                                       "that the caller has too");
}

// A tensor from outside is itself, unless it is a `.grad`, which may be another at each call.
std::optional<GraphResult> ResultReader::outsideResult(const at::Tensor &tensor) {
  capture_.valueOf(tensor);
  auto input = capture_.inputOf(tensor);
  if (!input || capture_.inputs()[*input].kind != CapturedInput::Kind::Grad)
    return std::nullopt;
  return GraphResult{GraphResult::Kind::Input, *input, false};
}

GraphResult ResultReader::numberResult(const c10::SymNode &node) {
  return {scalarKind(node), addReturn(capture_.valueOf(node)), false};
}

uint32_t ResultReader::addReturn(ValueId value) {
  returns.push_back(value);
  return returns.size() - 1;
}

} // namespace bifront
