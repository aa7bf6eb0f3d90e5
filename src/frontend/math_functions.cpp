// The functions of `math`, on numbers of the graph.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/number_arithmetic.h"

#include "capture/symbolic.h"

#include <algorithm>
#include <limits>
#include <string_view>

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

// That no number makes raise, so that the end of the run can call them.
bool neverRaises(PyObject *function) {
  static constexpr std::string_view names[] = {"hypot",   "isclose", "gcd",  "lcm",
                                               "atan",    "atan2",   "erf",  "erfc",
                                               "degrees", "radians", "fabs", "copysign"};
  return std::ranges::find(names, attributeText(function, "__name__")) != std::end(names);
}

bool givesInt(ScalarOp op) {
  return op == ScalarOp::Floor || op == ScalarOp::Ceil || op == ScalarOp::Trunc;
}

} // namespace

// isnan(), isinf() and isfinite().
std::optional<PyRef> Interpreter::kindOfReal(PyObject *function, PyObject *number) {
  std::string name = attributeText(function, "__name__");
  if (name != "isnan" && name != "isinf" && name != "isfinite")
    return std::nullopt;
  PyRef real = toFloat(number);
  SymbolicScalar *scalar = SymbolicScalar::of(symbolicNumber(real.get()));
  if (!scalar)
    return std::nullopt;
  GraphRecorder &graph = host_.recording->graph();
  ValueId value = scalar->value();
  auto of = [&](ScalarOp op, ValueId one, ValueId other) {
    ValueId operands[] = {one, other};
    return graph.scalar(op, operands);
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  ValueId most = graph.constantFloat(kInfinity), least = graph.constantFloat(-kInfinity);
  ValueId result =
      name == "isnan" ? of(ScalarOp::Ne, value, value)
      : name == "isinf"
          ? of(ScalarOp::Or, of(ScalarOp::Eq, value, most), of(ScalarOp::Eq, value, least))
          : of(ScalarOp::And, of(ScalarOp::Lt, value, most), of(ScalarOp::Gt, value, least));
  PyRef made = numberForPython(SymbolicScalar::ofValue(host_.recording->shared_from_this(),
                                                       SymbolicScalar::Kind::Bool, result));
  noteComputed(made.get(), real.get(), real.get(), [function](PyObject *known, PyObject *) {
    return PyObject_CallOneArg(function, known);
  });
  return made;
}

// What nobody looks at before the run is over is made then.
std::optional<PyRef> Interpreter::mathLater(PyObject *function, const CallArguments &arguments) {
  bool mayWait = !host_.policies || policyOf(textSite()) != Policy::OneWay;
  if (!mayWait || !forks_.empty() || !functions_.empty() || !neverRaises(function))
    return std::nullopt;
  bool hasNumber = std::ranges::any_of(
      arguments.positional, [](const PyRef &argument) { return isGraphNumber(argument.get()); });
  return hasNumber ? later(function, arguments.positional) : std::nullopt;
}

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
  if (!arguments.keywords.empty())
    return std::nullopt;
  if (auto result = numberFunction(function, arguments.positional)) {
    size_t count = arguments.positional.size();
    noteComputed(result->get(), arguments.positional.front().get(),
                 arguments.positional.back().get(), [=](PyObject *first, PyObject *last) {
                   PyObject *known[] = {first, last};
                   return PyObject_Vectorcall(function, known, count, nullptr);
                 });
    return result;
  }
  if (!isOfMath(function))
    return std::nullopt;
  CallArguments numbers = arguments;
  bool hasFloat = false;
  for (PyRef &argument : numbers.positional) {
    PyRef data = dataOf(argument.get());
    if (data && PyFloat_Check(data.get())) // of numpy's
      argument = numberOfScalar(argument.get());
    if (PyRef number = scalarOf(argument.get()))
      argument = number;
    bool isNumber = isGraphNumber(argument.get());
    if (!isNumber && !isPlain(argument.get()))
      return std::nullopt;
    hasFloat = hasFloat || (isNumber && numberType(argument.get()) == &PyFloat_Type);
  }
  if (numbers.positional.size() == 1 && isGraphNumber(numbers.positional[0].get())) {
    if (auto result = realFunction(function, numbers.positional[0].get()))
      return result;
    if (auto result = kindOfReal(function, numbers.positional[0].get()))
      return result;
  }
  if (auto result = mathLater(function, numbers))
    return result;
  return hasFloat ? std::optional(callPure(function, numbers)) : std::nullopt;
}

} // namespace bifront
