#include "frontend/random_sources.h"

#include "frontend/kinds.h"
#include "frontend/numpy_data.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace bifront {
namespace {

// Borrowed; null where nobody has imported the module.
PyTypeObject *typeOf(const char *module, const char *name) {
  PyObject *found = ofModule(module, name);
  return found && PyType_Check(found) ? reinterpret_cast<PyTypeObject *>(found) : nullptr;
}

PyTypeObject *sourceOfPython() {
  static PyTypeObject *type = [] {
    PyRef module = PyRef::steal(PyImport_ImportModule("_random"));
    return reinterpret_cast<PyTypeObject *>(module ? PyObject_GetAttrString(module.get(), "Random")
                                                   : nullptr);
  }();
  return type;
}

bool isOfPython(PyObject *object) {
  return sourceOfPython() && PyObject_TypeCheck(object, sourceOfPython());
}

// Those of numpy are told by their exact class: a class derived from one may draw by other code.
bool isGenerator(PyObject *object) {
  return std::string_view(Py_TYPE(object)->tp_name) == "numpy.random._generator.Generator" &&
         Py_TYPE(object) == typeOf("numpy.random", "Generator");
}

bool isRandomState(PyObject *object) {
  return std::string_view(Py_TYPE(object)->tp_name) == "numpy.random.mtrand.RandomState" &&
         Py_TYPE(object) == typeOf("numpy.random", "RandomState");
}

PyRef methodOf(PyTypeObject *type, const char *name) {
  return checked(PyObject_GetAttrString(reinterpret_cast<PyObject *>(type), name));
}

// Not those that write to an argument (`shuffle`) or make other generators (`spawn`).
constexpr std::string_view kDrawsOfPython[] = {"getrandbits", "random", "seed"};
constexpr std::string_view kDrawsOfNumpy[] = {"beta",
                                              "binomial",
                                              "bytes",
                                              "chisquare",
                                              "choice",
                                              "dirichlet",
                                              "exponential",
                                              "f",
                                              "gamma",
                                              "geometric",
                                              "gumbel",
                                              "hypergeometric",
                                              "integers",
                                              "laplace",
                                              "logistic",
                                              "lognormal",
                                              "logseries",
                                              "multinomial",
                                              "normal",
                                              "pareto",
                                              "permutation",
                                              "permuted",
                                              "poisson",
                                              "power",
                                              "rand",
                                              "randint",
                                              "randn",
                                              "random",
                                              "random_sample",
                                              "rayleigh",
                                              "seed",
                                              "standard_cauchy",
                                              "standard_exponential",
                                              "standard_gamma",
                                              "standard_normal",
                                              "standard_t",
                                              "triangular",
                                              "uniform",
                                              "vonmises",
                                              "wald",
                                              "weibull",
                                              "zipf"};

template <size_t count>
bool isAmong(const std::string_view (&names)[count], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// What the class has under the function's name, where that is the function.
bool isMethodAmong(PyObject *function, PyTypeObject *type, auto &names) {
  std::string name = attributeText(function, "__name__");
  return type && isAmong(names, name) &&
         PyDict_GetItemString(type->tp_dict, name.c_str()) == function;
}

} // namespace

bool isRandomSource(PyObject *object) {
  return isOfPython(object) || isGenerator(object) || isRandomState(object);
}

bool drawsFromSource(PyObject *function) {
  return isMethodAmong(function, sourceOfPython(), kDrawsOfPython) ||
         isMethodAmong(function, typeOf("numpy.random", "Generator"), kDrawsOfNumpy) ||
         isMethodAmong(function, typeOf("numpy.random", "RandomState"), kDrawsOfNumpy);
}

PyRef stateOfSource(PyObject *source) {
  if (isOfPython(source))
    return checked(PyObject_CallOneArg(methodOf(sourceOfPython(), "getstate").get(), source));
  if (isGenerator(source)) {
    PyRef bits = checked(PyObject_GetAttrString(source, "bit_generator"));
    return checked(PyObject_GetAttrString(bits.get(), "state"));
  }
  PyRef inFull = checked(Py_BuildValue("{s:O}", "legacy", Py_False)),
        none = checked(PyTuple_New(0));
  PyRef method = checked(PyObject_GetAttrString(source, "get_state"));
  return checked(PyObject_Call(method.get(), none.get(), inFull.get()));
}

void setStateOfSource(PyObject *source, PyObject *state) {
  if (isOfPython(source)) {
    checked(PyObject_CallFunctionObjArgs(methodOf(sourceOfPython(), "setstate").get(), source,
                                         state, nullptr));
  } else if (isGenerator(source)) {
    PyRef bits = checked(PyObject_GetAttrString(source, "bit_generator"));
    checked(PyObject_SetAttrString(bits.get(), "state", state));
  } else {
    checked(PyObject_CallMethod(source, "set_state", "(O)", state));
  }
}

} // namespace bifront
