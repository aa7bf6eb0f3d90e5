// Arrays of numpy whose rows an array of bools has selected: a tensor that is made of one has as
// many rows as the run finds. Where the program has made a tensor of the bools as well, what that
// selects is taken to be as many, which the graph asserts.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"

#include <torch/csrc/autograd/python_variable.h>

#include <string_view>

namespace bifront {
namespace {

// Whether what it returns has the rows that its first argument has.
bool keepsRows(PyObject *function) {
  std::string name = attributeText(function, "__name__");
  return name == "astype" || name == "copy" || name == "ascontiguousarray";
}

} // namespace

// The array of bools that has selected the rows of what a pure function of numpy's arrays returns.
ValueId Interpreter::selectorOf(PyObject *function, const CallArguments &arguments) {
  const std::vector<PyRef> &operands = arguments.positional;
  auto array = operands.empty() ? std::nullopt : opaque_.of(operands[0].get());
  if (!array || !isNumpyArray(array->sample.get()))
    return kNoValue;
  if (keepsRows(function))
    return array->selectedBy;
  bool selects = operands.size() == 2 && function == operatorFunction("__getitem__") &&
                 isMask(dataOf(operands[1].get()).get());
  return selects ? held(operands[1].get()) : kNoValue;
}

// How many rows such an array has.
PyRef Interpreter::numberOfRows(PyObject *array, ValueId selector) {
  auto known = maskTensors_.find(selector);
  if (known == maskTensors_.end() || !host_.recording->graph().isUsable(held(known->second.get())))
    return callPure(builtinFunction("len"), {array});
  PyRef selected = checked(PyObject_CallMethod(known->second.get(), "nonzero", nullptr));
  return checked(PyObject_CallMethod(selected.get(), "size", "i", 0));
}

// Those of the tensor `made` of an array whose rows were selected; null for other arrays.
PyRef Interpreter::sizesOfSelected(PyObject *array, PyObject *made) {
  auto from = opaque_.of(array);
  if (!from || from->selectedBy == kNoValue || host_.recording->decidesSizes())
    return {};
  const at::Tensor &like = THPVariable_Unpack(made);
  PyRef sizes = checked(PyTuple_New(like.dim()));
  PyTuple_SET_ITEM(sizes.get(), 0, numberOfRows(array, from->selectedBy).release());
  for (int64_t i = 1; i < like.dim(); ++i)
    PyTuple_SET_ITEM(sizes.get(), i, checked(PyLong_FromLongLong(like.size(i))).release());
  return sizes;
}

} // namespace bifront
