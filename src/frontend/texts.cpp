// Texts and rounded numbers that follow from numbers of the graph: made behind the run where nobody
// looks at them before.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/later.h"

#include <limits>

namespace bifront {

using namespace syntax;

namespace {

bool waits(PyObject *value) { return isGraphNumber(value) || isLater(value); }

// Whether it holds of one of the arguments, or of what is in a tuple among them.
template <typename Predicate>
bool anyOf(const std::vector<PyRef> &arguments, const Predicate &predicate) {
  for (const PyRef &argument : arguments) {
    if (predicate(argument.get()))
      return true;
    for (Py_ssize_t i = 0;
         PyTuple_CheckExact(argument.get()) && i < PyTuple_GET_SIZE(argument.get()); ++i)
      if (predicate(PyTuple_GET_ITEM(argument.get(), i)))
        return true;
  }
  return false;
}

// What the call might be of: a number of the graph is the `sample`-th of some unlike ones.
PyRef sampleOf(PyObject *value, int sample);

PyRef sampleCall(PyObject *function, PyObject *arguments, int sample) {
  PyRef samples = checked(PyTuple_New(PyTuple_GET_SIZE(arguments)));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments); ++i)
    PyTuple_SET_ITEM(samples.get(), i, sampleOf(PyTuple_GET_ITEM(arguments, i), sample).release());
  return checked(PyObject_CallObject(function, samples.get()));
}

constexpr int kSamples = 4;

PyRef sampleOf(PyObject *value, int sample) {
  static constexpr double reals[kSamples] = {0.5, std::numeric_limits<double>::quiet_NaN(),
                                             -std::numeric_limits<double>::infinity(), -1e300};
  static constexpr long long whole[kSamples] = {1, -1, 1LL << 62, 0};
  if (isLater(value))
    return sampleCall(laterFunction(value), laterArguments(value), sample);
  if (PyTuple_CheckExact(value)) {
    PyRef parts = checked(PyTuple_New(PyTuple_GET_SIZE(value)));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i)
      PyTuple_SET_ITEM(parts.get(), i, sampleOf(PyTuple_GET_ITEM(value, i), sample).release());
    return parts;
  }
  if (!isGraphNumber(value))
    return PyRef::share(value);
  PyTypeObject *type = numberType(value);
  return checked(type == &PyFloat_Type  ? PyFloat_FromDouble(reals[sample])
                 : type == &PyLong_Type ? PyLong_FromLongLong(whole[sample])
                                        : PyBool_FromLong(sample % 2));
}

} // namespace

// What the call returns, made behind the run; nothing where the path is to know the numbers.
std::optional<PyRef> Interpreter::later(PyObject *function, std::vector<PyRef> arguments) {
  bool needsKnown = host_.policies && policyOf(textSite()) == Policy::OneWay;
  auto isWhole = [](PyObject *value) {
    return isGraphNumber(value) && numberType(value) != &PyFloat_Type;
  };
  if (needsKnown && anyOf(arguments, isWhole))
    return std::nullopt;
  for (const PyRef &argument : arguments)
    if (holdsData(argument.get()))
      throw CannotInterpret("a text of an array is made when the run is over");
  PyRef tuple = tupleOf(arguments);
  PyRef sample = sampleCall(function, tuple.get(), 0); // raises as the call would
  for (int other = 1; other < kSamples; ++other) {
    try {
      sampleCall(function, tuple.get(), other);
    } catch (const PythonError &) { // then it must not be left to the end
      PyErr_Clear();
      throw CannotInterpret("a text of a number of the graph cannot be made of each number");
    }
  }
  return makeLater(Py_TYPE(sample.get()), function, arguments);
}

PyRef Interpreter::formatted(PyObject *object, PyObject *spec) {
  PyRef value = PyRef::share(object);
  PyRef noSpec = checked(PyUnicode_New(0, 0));
  // As Tensor.__format__ does.
  if (isProxyTensor(object) && isOfNoDimension(object))
    value = checked(PyObject_CallMethod(object, "item", nullptr));
  if (isLater(value.get()) && !spec)
    return value;
  if (waits(value.get())) {
    if (auto text =
            later(builtinFunction("format"), {value, PyRef::share(spec ? spec : noSpec.get())}))
      return *text;
    value = knownNumber(value.get());
  }
  if (PyUnicode_CheckExact(value.get()) && !spec)
    return value;
  if (auto text = callSpecial(value.get(), "__format__", {spec ? spec : noSpec.get()}))
    return *text;
  return natively("format", {value.get()},
                  [&] { return checked(PyObject_Format(value.get(), spec)); });
}

PyRef Interpreter::joined(const std::vector<PyRef> &parts) {
  PyRef tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(parts.size())));
  bool hasLater = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(parts[i].get()));
    hasLater = hasLater || isLater(parts[i].get());
  }
  PyRef empty = checked(PyUnicode_New(0, 0));
  if (!hasLater)
    return checked(PyUnicode_Join(empty.get(), tuple.get()));
  PyRef join = checked(PyObject_GetAttrString(empty.get(), "join"));
  return *later(join.get(), {tuple});
}

// str(n), repr(n), ascii(n), format(n, spec), round(x, digits), str.format(text, n, ...) and
// operator.mod(text, n), where a number is one of the graph.
std::optional<PyRef> Interpreter::textOf(PyObject *function, std::vector<PyRef> arguments) {
  return anyOf(arguments, waits) ? later(function, std::move(arguments)) : std::nullopt;
}

} // namespace bifront
