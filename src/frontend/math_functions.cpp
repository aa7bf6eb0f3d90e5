// The functions of `math`, on numbers of the graph.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include "capture/symbolic.h"

#include <algorithm>

namespace bifront {
namespace {

// Those that the graph computes itself, by the same functions of the C library as Python.
std::optional<ScalarOp> realOp(PyObject *function) {
  static const std::vector<std::pair<PyRef, ScalarOp>> functions = [] {
    PyRef math = checked(PyImport_ImportModule("math"));
    std::vector<std::pair<PyRef, ScalarOp>> known;
    for (const auto &[name, op] : {std::pair("sqrt", ScalarOp::Sqrt),
                                   {"exp", ScalarOp::Exp},
                                   {"log", ScalarOp::Log},
                                   {"sin", ScalarOp::Sin},
                                   {"cos", ScalarOp::Cos},
                                   {"tanh", ScalarOp::Tanh},
                                   {"floor", ScalarOp::Floor},
                                   {"ceil", ScalarOp::Ceil},
                                   {"trunc", ScalarOp::Trunc}})
      known.emplace_back(checked(PyObject_GetAttrString(math.get(), name)), op);
    return known;
  }();
  auto known = std::ranges::find_if(
      functions, [&](const auto &entry) { return entry.first.get() == function; });
  return known == functions.end() ? std::nullopt : std::optional(known->second);
}

bool isOfMath(PyObject *function) {
  return PyCFunction_Check(function) && attributeText(function, "__module__") == "math";
}

bool givesInt(ScalarOp op) {
  return op == ScalarOp::Floor || op == ScalarOp::Ceil || op == ScalarOp::Trunc;
}

} // namespace

std::optional<PyRef> Interpreter::realFunction(PyObject *function, PyObject *number) {
  std::optional<ScalarOp> op = realOp(function);
  if (!op)
    return std::nullopt;
  if (givesInt(*op) && numberType(number) != &PyFloat_Type)
    return toInt(number);
  PyRef real = toFloat(number);
  PyRef result = numberForPython(SymbolicScalar::of(symbolicNumber(real.get()))->real(*op));
  noteComputed(result.get(), real.get(), real.get(), [function](PyObject *value, PyObject *) {
    return PyObject_CallOneArg(function, value);
  });
  return result;
}

// Other functions of floats that only the run knows are Python's own, called in the graph.
std::optional<PyRef> Interpreter::mathCall(PyObject *function, const CallArguments &arguments) {
  if (!isOfMath(function) || !arguments.keywords.empty())
    return std::nullopt;
  CallArguments numbers = arguments;
  bool hasFloat = false;
  for (PyRef &argument : numbers.positional) {
    if (PyRef number = scalarOf(argument.get()))
      argument = number;
    bool isNumber = isGraphNumber(argument.get());
    if (!isNumber && !isPlain(argument.get()))
      return std::nullopt;
    hasFloat = hasFloat || (isNumber && numberType(argument.get()) == &PyFloat_Type);
  }
  if (numbers.positional.size() == 1 && isGraphNumber(numbers.positional[0].get()))
    if (auto result = realFunction(function, numbers.positional[0].get()))
      return result;
  return hasFloat ? std::optional(callPure(function, numbers)) : std::nullopt;
}

} // namespace bifront
