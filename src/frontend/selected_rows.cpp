// Arrays of numpy whose rows an array of bools has selected: a tensor that is made of one has as
// many rows as the run finds. Where the program has made a tensor of the bools as well, what that
// selects is taken to be as many, which the graph asserts.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"

#include "capture/proxy.h"
#include "capture/symbolic.h"

#include <torch/csrc/autograd/python_variable.h>

#include <string_view>

namespace bifront {
namespace {

int64_t rankOf(PyObject *array) {
  return PyLong_AsLongLong(checked(PyObject_GetAttrString(array, "ndim")).get());
}

bool holdsBools(PyObject *array) {
  PyRef type = checked(PyObject_GetAttrString(array, "dtype"));
  PyRef kind = checked(PyObject_GetAttrString(type.get(), "kind"));
  return PyUnicode_CompareWithASCIIString(kind.get(), "b") == 0;
}

bool isMask(PyObject *array) {
  return array && isNumpyArray(array) && holdsBools(array) && rankOf(array) > 0;
}

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

// What `torch.from_numpy` and the like make of an array: `value`. Null where that is of the sizes
// that it has in this call.
PyRef Interpreter::tensorOfSelected(PyObject *array, ValueId value, const OpaqueObject &made) {
  auto from = opaque_.of(array);
  if (!from || from->selectedBy == kNoValue || host_.recording->decidesSizes())
    return {};
  const at::Tensor &like = THPVariable_Unpack(made.sample.get());
  PyRef rows = numberOfRows(array, from->selectedBy);
  SymbolicScalar *size =
      isGraphNumber(rows.get()) ? SymbolicScalar::of(symbolicNumber(rows.get())) : nullptr;
  if (!size || !size->becomeSize() || size->intIn(0) == size->intIn(1))
    return {};
  Extent worlds[2];
  for (int world : {0, 1}) {
    Dims sizes(like.sizes().begin(), like.sizes().end());
    sizes[0] = size->intIn(world);
    worlds[world] = Extent::contiguous(sizes, like.scalar_type());
  }
  auto shape = ProxyImpl::Shape::of(worlds[0], worlds[1], like.device());
  shape.byValues = true;
  auto recording = host_.recording->shared_from_this();
  opaque_.note(value, made);
  ValueId sizes[] = {size->value()};
  ValueId tensor = recording->graph().unbox(value, ValueType::ofTensor(shape.type()), sizes);
  recording->noteMerged(tensor);
  recording->noteMemory(tensor, Recording::Memory::Found);
  objects_[tensor] = value;
  return checked(THPVariable_Wrap(ProxyImpl::make(recording, tensor, std::move(shape))));
}

// The tensor that a pure function has made of an array.
PyRef Interpreter::tensorOfArray(PyObject *array, ValueId value, OpaqueObject made) {
  PyRef tensor = tensorOfSelected(array, value, made);
  if (!tensor)
    tensor = opaqueResult(value, std::move(made));
  if (isMask(dataOf(array).get()))
    maskTensors_[held(array)] = tensor;
  return tensor;
}

} // namespace bifront
