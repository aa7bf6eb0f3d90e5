// Arrays of numpy that have the sizes of a tensor, or others that the walk can name: what reads
// their shape finds these, and tensors that are made of them have these in each run.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"

#include "capture/proxy.h"
#include "capture/symbolic.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <string_view>

namespace bifront {
namespace {

// Null for other objects.
SymbolicScalar *graphScalarOf(PyObject *number) {
  return isGraphNumber(number) ? SymbolicScalar::of(symbolicNumber(number)) : nullptr;
}

bool isSize(PyObject *number) {
  SymbolicScalar *known = graphScalarOf(number);
  return PyLong_CheckExact(number) || (known && known->kind() == SymbolicScalar::Kind::Int);
}

// The argument of that name, or at that position; borrowed, null where there is none.
PyObject *argumentOf(const CallArguments &arguments, size_t position, const char *name) {
  for (const auto &[keyword, value] : arguments.keywords)
    if (PyUnicode_CompareWithASCIIString(keyword.get(), name) == 0)
      return value.get();
  return position < arguments.positional.size() ? arguments.positional[position].get() : nullptr;
}

// As a tuple; null where an item is neither an int nor one of the graph.
PyRef sizesOfShape(PyObject *shape) {
  if (shape && isSize(shape))
    return checked(PyTuple_Pack(1, shape));
  if (!shape || !isMadeOfItems(shape) ||
      !std::all_of(PySequence_Fast_ITEMS(shape),
                   PySequence_Fast_ITEMS(shape) + PySequence_Fast_GET_SIZE(shape), isSize))
    return {};
  return checked(PySequence_Tuple(shape));
}

// A function of numpy's that is given a shape.
bool makesShape(PyObject *function) {
  std::string name = attributeText(function, "__name__");
  return (name == "zeros" || name == "ones" || name == "full") &&
         ofModule("numpy", name) == function;
}

template <size_t count> bool isNamed(PyObject *function, const std::string_view (&names)[count]) {
  return std::find(std::begin(names), std::end(names), attributeText(function, "__name__")) !=
         std::end(names);
}

// Of an array, that of its first argument.
bool keepsShape(PyObject *function) {
  static constexpr std::string_view names[] = {"astype",     "copy",      "ascontiguousarray",
                                               "zeros_like", "ones_like", "full_like"};
  return isNamed(function, names);
}

// Number by number, of arrays that have one shape and of numbers.
bool isByElements(PyObject *function) {
  static constexpr std::string_view operators[] = {
      "add", "and_", "eq", "floordiv", "ge",  "gt",  "inv", "invert", "le",  "lshift",  "lt",
      "mod", "mul",  "ne", "neg",      "or_", "pos", "pow", "rshift", "sub", "truediv", "xor"};
  if (!isUfuncOfNumpy(function))
    return isNamed(function, operators);
  PyRef signature = checked(PyObject_GetAttrString(function, "signature"));
  return signature.get() == Py_None; // else of rows, as matmul
}

bool areSame(PyObject *one, PyObject *other) {
  if (PyTuple_GET_SIZE(one) != PyTuple_GET_SIZE(other))
    return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(one); ++i) {
    PyObject *a = PyTuple_GET_ITEM(one, i), *b = PyTuple_GET_ITEM(other, i);
    bool areEqual = PyLong_CheckExact(a) && PyLong_CheckExact(b) &&
                    checked(PyObject_RichCompareBool(a, b, Py_EQ)) != 0;
    if (a != b && !areEqual)
      return false;
  }
  return true;
}

} // namespace

// Of the array that a pure function returns: null where the walk cannot tell.
PyRef Interpreter::sizesOfResult(PyObject *function, const CallArguments &arguments) const {
  if (makesShape(function))
    return sizesOfShape(argumentOf(arguments, 0, "shape"));
  if (arguments.positional.empty())
    return {};
  if (keepsShape(function) && !argumentOf(arguments, SIZE_MAX, "shape"))
    return knownSizesOf(arguments.positional[0].get());
  if (!arguments.keywords.empty() || !isByElements(function))
    return {};
  PyRef common;
  for (const PyRef &operand : arguments.positional) {
    PyRef data = dataOf(operand.get());
    if (isGraphNumber(operand.get()) || PyLong_Check(operand.get()) ||
        PyFloat_Check(operand.get()) || (data && isNumpyScalar(data.get())))
      continue;
    PyRef sizes = knownSizesOf(operand.get());
    if (!sizes || (common && !areSame(common.get(), sizes.get())))
      return {};
    common = std::move(sizes);
  }
  return common;
}

PyRef Interpreter::knownSizesOf(PyObject *array) const {
  auto known = opaque_.of(array);
  return known ? known->sizes : PyRef();
}

// What `torch.from_numpy` and the like make of an array of these sizes: `value`. Null where that is
// of the sizes that it has in this call.
PyRef Interpreter::tensorOfSizes(ValueId value, const OpaqueObject &made, PyObject *sizes) {
  const at::Tensor &like = THPVariable_Unpack(made.sample.get());
  if (!sizes || like.dim() != PyTuple_GET_SIZE(sizes) || !like.is_contiguous())
    return {};
  std::vector<ValueId> dynamic;
  bool byValues = false;
  Dims dims[2];
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(sizes); ++i) {
    PyObject *item = PyTuple_GET_ITEM(sizes, i);
    SymbolicScalar *size = graphScalarOf(item);
    if (size && !size->becomeSize())
      return {};
    for (int world : {0, 1})
      dims[world].push_back(size ? size->intIn(world) : PyLong_AsLongLong(item));
    if (dims[0].back() == dims[1].back())
      continue;
    byValues = byValues || !size->isKnown();
    dynamic.push_back(size->value());
  }
  if (dynamic.empty())
    return {};
  auto shape = ProxyImpl::Shape::of(Extent::contiguous(dims[0], like.scalar_type()),
                                    Extent::contiguous(dims[1], like.scalar_type()), like.device());
  shape.byValues = byValues;
  auto recording = host_.recording->shared_from_this();
  opaque_.note(value, made);
  ValueId tensor = recording->graph().unbox(value, ValueType::ofTensor(shape.type()), dynamic);
  recording->noteMerged(tensor);
  recording->noteMemory(tensor, Recording::Memory::Found);
  objects_[tensor] = value;
  return checked(THPVariable_Wrap(ProxyImpl::make(recording, tensor, std::move(shape))));
}

// The tensor that a pure function has made of an array.
PyRef Interpreter::tensorOfArray(PyObject *array, ValueId value, OpaqueObject made) {
  PyRef sizes = knownSizesOf(array);
  if (!sizes)
    sizes = sizesOfSelected(array, made.sample.get());
  PyRef tensor = tensorOfSizes(value, made, sizes.get());
  if (!tensor)
    tensor = opaqueResult(value, std::move(made));
  if (isMask(dataOf(array).get()))
    maskTensors_[held(array)] = tensor;
  return tensor;
}

} // namespace bifront
