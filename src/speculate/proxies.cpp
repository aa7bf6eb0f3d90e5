#include "speculate/proxies.h"

#include "capture/recording.h"
#include "frontend/kinds.h"
#include "frontend/pointers.h"
#include "frontend/python_error.h"
#include "speculate/convert.h"

#include <torch/csrc/autograd/python_variable.h>

namespace bifront {

Proxies::Proxies(Capture &capture, Arguments &arguments, PathSizes &sizes, Choices &choices,
                 std::map<uint32_t, uint32_t> &leafOfInput)
    : capture_(capture), arguments_(arguments), sizes_(sizes), choices_(choices),
      leafOfInput_(leafOfInput) {
  for (uint32_t leaf = 0; leaf < arguments.numArgumentLeaves; ++leaf)
    if (arguments.isTensor(leaf))
      declare(leaf);
  sizes_.answer(inputOfLeaf_);
  values_.resize(arguments.leaves().size());
  for (uint32_t leaf = 0; leaf < values_.size(); ++leaf)
    if (arguments.isTensor(leaf) || arguments.isNumber(leaf) || arguments.isPointer(leaf))
      values_[leaf] = make(leaf);
}

std::vector<PyRef> Proxies::rebuildArguments() {
  std::vector<PyRef> rebuilt;
  for (const ValuePattern &pattern : arguments_.patterns)
    if (PyObject *value = pattern.rebuild(values_))
      rebuilt.push_back(PyRef::steal(value));
  noteLeaves();
  return rebuilt;
}

std::optional<std::pair<PyRef, uint32_t>> Proxies::inputFor(const Slot &slot, PyObject *value,
                                                            const Varying &varying) {
  if (!varying.has(LeafPlace{{}, slot}) && !isLeaf(value))
    return std::nullopt;
  auto input = arguments_.add(slot, value);
  if (!input)
    return std::nullopt;
  for (uint32_t leaf = values_.size(); leaf < arguments_.leaves().size(); ++leaf)
    values_.push_back(arguments_.isCopied(leaf) ? PyRef() : make(leaf));
  PyRef standIn = PyRef::steal(arguments_.slots[*input].pattern.rebuild(values_));
  if (!standIn) {
    PyErr_Clear(); // told by what is thrown
    throw ConversionError(ExitReason::CaptureFailed, "what a slot holds cannot be copied",
                          Varying{{{{}, slot}}, {}, {}});
  }
  noteLeaves();
  return std::pair(std::move(standIn), *input);
}

bool Proxies::isCopy(PyObject *object) const {
  auto leaf = leafOf(object);
  return leaf && arguments_.isCopied(*leaf);
}

std::optional<uint32_t> Proxies::leafOf(PyObject *object) const {
  auto found = leafOf_.find(object);
  return found == leafOf_.end() ? std::nullopt : std::optional(found->second);
}

bool Proxies::isContainer(PyObject *object) const {
  auto leaf = leafOf(object);
  return leaf && !arguments_.isTensor(*leaf);
}

std::optional<uint32_t> Proxies::leafWithDict(PyObject *dict) const {
  for (uint32_t leaf = 0; leaf < values_.size(); ++leaf)
    if (values_[leaf] && arguments_.isTensor(leaf) &&
        checked(PyObject_GenericGetDict(values_[leaf].get(), nullptr)).get() == dict)
      return leaf;
  return std::nullopt;
}

bool Proxies::isLeaf(PyObject *object) const {
  const std::vector<PyObject *> &leaves = arguments_.leaves();
  for (uint32_t leaf = 0; leaf < leaves.size(); ++leaf)
    if (leaves[leaf] == object && !arguments_.isNumber(leaf))
      return true;
  return false;
}

// Another path may have left leaves that this one has yet to meet.
void Proxies::noteLeaves() {
  for (uint32_t leaf = 0; leaf < values_.size(); ++leaf)
    if (values_[leaf] && !arguments_.isNumber(leaf))
      leafOf_.emplace(values_[leaf].get(), leaf);
}

uint32_t Proxies::declare(uint32_t leaf) {
  if (auto known = inputOfLeaf_.find(leaf); known != inputOfLeaf_.end())
    return known->second;
  uint32_t input = capture_.declareInput(arguments_.tensor(leaf), arguments_.nameOf(leaf),
                                         arguments_.dimsOf(leaf));
  leafOfInput_.emplace(input, leaf);
  inputOfLeaf_.emplace(leaf, input);
  return input;
}

PyRef Proxies::makeTensor(uint32_t leaf) {
  uint32_t input = declare(leaf);
  PyRef proxy = PyRef::steal(
      THPVariable_Wrap(capture_.proxyOf(input, arguments_.dimsOf(leaf), sizes_.of(leaf, input))));
  auto *type = reinterpret_cast<PyObject *>(Py_TYPE(arguments_.object(leaf)));
  if (type != THPVariableClass && // a parameter
      PyObject_SetAttrString(proxy.get(), "__class__", type) < 0)
    fail(ExitReason::UnsupportedTensor, describeException(takeException().get()));
  return proxy;
}

PyRef Proxies::make(uint32_t leaf) {
  if (arguments_.isTensor(leaf))
    return makeTensor(leaf);
  std::string name = arguments_.nameOf(leaf);
  PyObject *object = arguments_.object(leaf);
  leafOfInput_.emplace(capture_.inputs().size(), leaf);
  if (arguments_.isPointer(leaf))
    return makePointer(capture_.addObject(object, name));
  if (arguments_.isChoice(leaf))
    return choice(leaf, object, name);
  c10::Scalar number = PyBool_Check(object) ? c10::Scalar(object == Py_True)
                       : PyFloat_CheckExact(object)
                           ? c10::Scalar(PyFloat_AS_DOUBLE(object))
                           : c10::Scalar(static_cast<int64_t>(PyLong_AsLongLong(object)));
  return numberForPython(capture_.addNumber(number, name));
}

// What it is on the path that is captured.
PyRef Proxies::choice(uint32_t leaf, PyObject *object, const std::string &name) {
  c10::SymNode number = capture_.addNumber(c10::Scalar(choices_.numberOf(object)), name);
  if (!capture_.recording().mayDecide())
    throw ConversionError(ExitReason::CaptureFailed, "a value that Python needs to know",
                          arguments_.asVarying(leaf));
  ValueId value = capture_.valueOf(number);
  return PyRef::share(choices_.at(capture_.decide(value, "the value of " + name)));
}

} // namespace bifront
