#include "speculate/converted_graph.h"

#include "runtime/program.h"
#include "support/fail_nth.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace bifront {

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

const at::Tensor &TensorSource::in(PyObject *const *leaves) const {
  return held.defined() ? held : THPVariable_Unpack(leaves[leaf]);
}

at::Tensor GraphInput::tensor(PyObject *const *leaves) const {
  const at::Tensor &owner = source.in(leaves);
  return kind == Kind::Grad ? owner.grad() : owner;
}

c10::IValue GraphInput::value(PyObject *const *leaves) const {
  if (isTensor())
    return tensor(leaves);
  if (kind == Kind::Object)
    return static_cast<int64_t>(
        reinterpret_cast<intptr_t>(object ? object.get() : leaves[source.leaf]));
  PyObject *number = leaves[source.leaf];
  if (choices)
    return choices->find(number).value_or(-1);
  if (PyBool_Check(number))
    return number == Py_True;
  if (PyFloat_CheckExact(number))
    return PyFloat_AS_DOUBLE(number);
  return static_cast<int64_t>(PyLong_AsLongLong(number)); // fits, by the checks
}

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

// Arguments can come to share memory at any call. State was compared when the graph was made, and
// is again when its memory is another (`parameter.data = ...`).
bool ConvertedGraph::writesShared(PyObject *const *leaves) const {
  auto storageOf = [&](const GraphInput &input) -> const void * {
    return input.tensor(leaves).storage().unsafeGetStorageImpl();
  };
  auto isWritten = [&](const GraphInput &input) {
    return std::any_of(writtenInputs.begin(), writtenInputs.end(),
                       [&](uint32_t i) { return &inputs[i] == &input; });
  };
  for (const GraphInput &input : inputs) {
    if (!input.isTensor())
      continue;
    const void *storage = storageOf(input);
    if (input.kind != GraphInput::Kind::Argument && storage == input.storage)
      continue;
    if (isWritten(input)) {
      for (const GraphInput &other : inputs)
        if (&other != &input && other.isTensor() && storageOf(other) == storage)
          return true;
    } else {
      for (uint32_t i : writtenInputs)
        if (storageOf(inputs[i]) == storage)
          return true;
    }
    input.storage = storage;
  }
  return false;
}

// Dimensions that were equal when the graph was made must still be.
bool ConvertedGraph::sizesAreEqual(PyObject *const *leaves) const {
  auto sizeOf = [&](const std::pair<uint32_t, int64_t> &dim) {
    return THPVariable_Unpack(leaves[dim.first]).size(dim.second);
  };
  return std::all_of(equalDims.begin(), equalDims.end(), [&](const auto &group) {
    return std::all_of(group.begin(), group.end(),
                       [&](const auto &dim) { return sizeOf(dim) == sizeOf(group[0]); });
  });
}

bool ConvertedGraph::leavesHold(PyObject *const *leaves) const {
  for (uint32_t i = 0; i < numLeaves; ++i)
    if (leafChecks[i] &&
        (!leafChecks[i]->holds(THPVariable_Unpack(leaves[i])) || failsOnPurpose(Failure::Check)))
      return false;
  return sizesAreEqual(leaves) && leavesAreBare(leaves) && !failsOnPurpose(Failure::Check);
}

bool ConvertedGraph::leavesAreBare(PyObject *const *leaves) const {
  return std::none_of(bareLeaves.begin(), bareLeaves.end(),
                      [&](uint32_t i) { return hasAttributes(leaves[i]); });
}

// What the program may have compared by `is`, or changed by one name and read by another.
bool ConvertedGraph::leavesAreOthers(PyObject *const *leaves) const {
  constexpr size_t kFew = 12;
  std::vector<PyObject *> sorted;
  if (distinctLeaves.size() > kFew) {
    for (uint32_t i : distinctLeaves)
      sorted.push_back(leaves[i]);
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
      return false;
  } else {
    for (size_t i = 0; i < distinctLeaves.size(); ++i)
      for (size_t k = 0; k < i; ++k)
        if (leaves[distinctLeaves[i]] == leaves[distinctLeaves[k]])
          return false;
  }
  return std::none_of(strangeLeaves.begin(), strangeLeaves.end(),
                      [&](uint32_t i) { return guards.knows(leaves[i]); });
}

std::optional<Difference> ConvertedGraph::differs(PyObject *const *args, size_t count,
                                                  PyObject *names) const {
  if (count + (names ? PyTuple_GET_SIZE(names) : 0) != arguments.size() ||
      !sameKeywords(keywordNames.get(), names) || modes != GlobalModes::now() ||
      !pythonState.isUnchanged())
    return std::nullopt;
  Difference difference;
  std::vector<PyObject *> leaves(numLeaves, nullptr);
  DifferentPaths different;
  for (uint32_t i = 0; i < arguments.size(); ++i)
    if (!arguments[i].differsInValues(args[i], {i}, leaves.data(), different))
      return std::nullopt;
  for (ValuePath &path : different.values)
    difference.values.values.push_back({std::move(path), std::nullopt});
  difference.values.choices = std::move(different.choices);
  auto slots = guards.differs(leaves.data());
  if (!slots || !leavesAreOthers(leaves.data()) || !leavesAreBare(leaves.data()))
    return std::nullopt;
  difference.values.values.insert(difference.values.values.end(), slots->values.begin(),
                                  slots->values.end());
  difference.wholly = slots->wholly;
  difference.replaced = std::move(slots->replaced);
  for (uint32_t i = 0; i < numLeaves; ++i) {
    if (!leafChecks[i])
      continue;
    const at::Tensor &tensor = THPVariable_Unpack(leaves[i]);
    if (leafChecks[i]->holds(tensor))
      continue;
    auto sizes = leafChecks[i]->differsInSizes(tensor);
    if (!sizes)
      return std::nullopt;
    for (const TensorPrecheck::Difference &size : *sizes)
      difference.values.dimensions.push_back(
          {leafPlaces[i], size.dimension, size.isSmall, /*large=*/!size.isSmall});
  }
  if (stateRefused(leaves.data()) ||
      (difference.wholly && difference.values.empty() && sizesAreEqual(leaves.data())))
    return std::nullopt; // it is something else
  return difference;
}

int64_t ConvertedGraph::arenaBytes() const { return executor->program().arenaBytes; }

int64_t ConvertedGraph::bytes() const {
  return arenaBytes() * static_cast<int64_t>(executor->numFrames());
}

std::vector<std::pair<std::string, std::string>> ConvertedGraph::opaqueCalls() const {
  std::vector<std::pair<std::string, std::string>> calls;
  std::map<std::string_view, size_t> bySite;
  auto add = [&](const Program &program) {
    for (const PythonStep &step : program.pythonCalls) {
      if (!step.call.isOfProgram())
        continue;
      auto [known, isNew] = bySite.try_emplace(step.call.site, calls.size());
      if (isNew || step.call.site.empty())
        calls.emplace_back(step.location, step.call.name);
      else // what came before it made its arguments
        calls[known->second] = {step.location, step.call.name};
    }
  };
  add(executor->program());
  for (const auto &function : executor->program().functions)
    add(*function);
  return calls;
}

bool ConvertedGraph::callsPython() const {
  const Program &program = executor->program();
  return !program.pythonCalls.empty() ||
         std::ranges::any_of(program.functions,
                             [](const auto &function) { return !function->pythonCalls.empty(); });
}

int ConvertedGraph::traverse(visitproc visit, void *arg) const {
  if (int stop = pythonState.traverse(visit, arg))
    return stop;
  if (int stop = guards.traverse(visit, arg))
    return stop;
  for (const GraphInput &input : inputs)
    Py_VISIT(input.object.get());
  for (const PyRef &function : rerouted)
    Py_VISIT(function.get());
  for (const PathEnd &end : ends)
    if (int stop = end.commit.traverse(visit, arg))
      return stop;
  return 0;
}

std::optional<ExitReason> ConvertedGraph::stateRefused(PyObject *const *leaves) const {
  for (const auto &[owner, defined] : gradPresence)
    if (owner.in(leaves).grad().defined() != defined || failsOnPurpose(Failure::Check))
      return ExitReason::GradPresence;
  for (const GraphInput &input : inputs) {
    if (!input.check)
      continue;
    at::Tensor tensor = input.tensor(leaves);
    if (!tensor.defined())
      return ExitReason::GradPresence;
    bool isOther = input.object && !tensor.is_same(THPVariable_Unpack(input.object.get()));
    if (isOther || !input.check->holds(tensor) || failsOnPurpose(Failure::Check))
      return ExitReason::TensorMismatch;
  }
  for (const auto &[owner, input] : sharedGrads)
    if (!owner.in(leaves).grad().is_same(inputs[input].tensor(leaves)) ||
        failsOnPurpose(Failure::Check))
      return ExitReason::TensorMismatch;
  return std::nullopt;
}

std::optional<ExitReason> ConvertedGraph::refuses(PyObject *const *args, size_t count,
                                                  PyObject *names, PyObject **leaves) const {
  if (!argumentsMatch(args, count, names, leaves) || failsOnPurpose(Failure::Check))
    return ExitReason::ArgumentStructure;
  if (modes != GlobalModes::now() || failsOnPurpose(Failure::Check))
    return ExitReason::GlobalMode;
  if (!pythonState.isUnchanged() || !guards.hold() || !guards.fetch(leaves) ||
      failsOnPurpose(Failure::Check))
    return ExitReason::PythonState;
  if (!leavesAreOthers(leaves) || failsOnPurpose(Failure::Check))
    return ExitReason::ArgumentStructure;
  if (!leavesHold(leaves))
    return ExitReason::TensorMismatch;
  if (auto reason = stateRefused(leaves))
    return reason;
  if (!writtenInputs.empty() && (writesShared(leaves) || failsOnPurpose(Failure::Check)))
    return ExitReason::Aliasing;
  return std::nullopt;
}

} // namespace bifront
