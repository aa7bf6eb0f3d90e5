#include "speculate/converted_graph.h"

#include <torch/csrc/autograd/python_variable.h>

namespace bifront {
namespace {

bool sameKeywords(PyObject *expected, PyObject *names) {
  if (expected == names)
    return true;
  if (!expected || !names || PyTuple_GET_SIZE(expected) != PyTuple_GET_SIZE(names))
    return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i)
    if (PyUnicode_Compare(PyTuple_GET_ITEM(expected, i), PyTuple_GET_ITEM(names, i)) != 0)
      return false;
  return true;
}

} // namespace

bool ConvertedGraph::argumentsMatch(PyObject *const *args, size_t count, PyObject *names,
                                    PyObject **leaves) const {
  if (count + (names ? PyTuple_GET_SIZE(names) : 0) != arguments.size() ||
      !sameKeywords(keywordNames.get(), names))
    return false;
  for (size_t i = 0; i < arguments.size(); ++i)
    if (!arguments[i].match(args[i], leaves))
      return false;
  return true;
}

bool ConvertedGraph::writesShared(PyObject *const *leaves) const {
  auto storageOf = [&](const GraphInput &input) -> const void * {
    const at::Tensor &tensor = input.kind == GraphInput::Kind::Argument
                                   ? THPVariable_Unpack(leaves[input.leaf])
                               : input.kind == GraphInput::Kind::State ? input.tensor
                                                                       : input.tensor.grad();
    return tensor.defined() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
  };
  // Only arguments can newly come to share memory: state was checked when the graph was made, and a
  // written argument is compared with everything.
  for (const GraphInput &argument : inputs) {
    if (argument.kind != GraphInput::Kind::Argument)
      continue;
    const void *storage = storageOf(argument);
    bool written = false;
    for (uint32_t i : writtenInputs)
      written |= &inputs[i] == &argument;
    if (written) {
      for (const GraphInput &other : inputs)
        if (&other != &argument && storageOf(other) == storage)
          return true;
    } else {
      for (uint32_t i : writtenInputs)
        if (storageOf(inputs[i]) == storage)
          return true;
    }
  }
  return false;
}

// Dimensions that were equal when the graph was made are not now: both stay dynamic, each for itself.
GraphRefusal ConvertedGraph::unequalDims(PyObject *const *leaves) const {
  GraphRefusal refusal{ExitReason::TensorMismatch, std::vector<std::vector<bool>>(numLeaves)};
  for (uint32_t i = 0; i < numLeaves; ++i)
    refusal.relax[i] = leafChecks[i].dimsToRelax(THPVariable_Unpack(leaves[i]));
  return refusal;
}

std::optional<GraphRefusal> ConvertedGraph::refuses(PyObject *const *args, size_t count, PyObject *names,
                                                    PyObject **leaves) const {
  if (!argumentsMatch(args, count, names, leaves))
    return GraphRefusal{ExitReason::ArgumentStructure, {}};
  if (modes != GlobalModes::now())
    return GraphRefusal{ExitReason::GlobalMode, {}};
  std::optional<GraphRefusal> refusal;
  for (uint32_t i = 0; i < numLeaves; ++i) {
    const at::Tensor &tensor = THPVariable_Unpack(leaves[i]);
    if (leafChecks[i].holds(tensor))
      continue;
    if (!refusal)
      refusal = GraphRefusal{ExitReason::TensorMismatch, std::vector<std::vector<bool>>(numLeaves)};
    refusal->relax[i] = leafChecks[i].dimsToRelax(tensor);
    if (refusal->relax[i].empty())
      return GraphRefusal{ExitReason::TensorMismatch, {}};
  }
  if (refusal)
    return refusal;
  for (const auto &group : equalDims)
    for (const auto &[leaf, dim] : group)
      if (THPVariable_Unpack(leaves[leaf]).size(dim) !=
          THPVariable_Unpack(leaves[group[0].first]).size(group[0].second))
        return unequalDims(leaves);
  for (const auto &[tensor, check] : stateChecks)
    if (!check.holds(tensor))
      return GraphRefusal{ExitReason::TensorMismatch, {}};
  for (const auto &[tensor, defined] : gradPresence)
    if (tensor.grad().defined() != defined)
      return GraphRefusal{ExitReason::GradPresence, {}};
  for (const auto &[tensor, check] : gradChecks)
    if (!tensor.grad().defined() || !check.holds(tensor.grad()))
      return GraphRefusal{ExitReason::GradPresence, {}};
  if (!writtenInputs.empty() && writesShared(leaves))
    return GraphRefusal{ExitReason::Aliasing, {}};
  return std::nullopt;
}

} // namespace bifront
