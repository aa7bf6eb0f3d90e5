#include "frontend/numpy_data.h"

#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/python_error.h"
#include "support/pending_exception.h"

#include <algorithm>

namespace bifront {
namespace {

// Classes of C have such names for good; those of a program are made at run time.
bool isOfC(PyTypeObject *type, std::string_view name) {
  return !(type->tp_flags & Py_TPFLAGS_HEAPTYPE) && name == type->tp_name;
}

// Functions that may return what lies in the memory of an argument: one array.
constexpr std::string_view kViews[] = {
    "__getitem__", "as_tensor",   "asarray",    "broadcast_to",     "diag",
    "diagonal",    "expand_dims", "from_numpy", "getattr",          "moveaxis",
    "ravel",       "reshape",     "squeeze",    "swapaxes",         "transpose",
    "view",        "array",       "getitem",    "ascontiguousarray"};
constexpr std::string_view kMethods[] = {
    "all",     "any",     "argmax",   "argmin", "argsort", "astype",    "clip",  "copy",
    "cumprod", "cumsum",  "diagonal", "dot",    "flatten", "item",      "max",   "mean",
    "min",     "nonzero", "prod",     "ravel",  "repeat",  "reshape",   "round", "squeeze",
    "std",     "sum",     "swapaxes", "take",   "tolist",  "transpose", "var",   "trace"};
constexpr std::string_view kFunctions[] = {"all",
                                           "allclose",
                                           "any",
                                           "arange",
                                           "argmax",
                                           "argmin",
                                           "argsort",
                                           "array",
                                           "array_equal",
                                           "asarray",
                                           "ascontiguousarray",
                                           "average",
                                           "bincount",
                                           "broadcast_to",
                                           "clip",
                                           "concatenate",
                                           "count_nonzero",
                                           "cumprod",
                                           "cumsum",
                                           "diag",
                                           "diff",
                                           "dot",
                                           "expand_dims",
                                           "eye",
                                           "full",
                                           "full_like",
                                           "histogram",
                                           "isclose",
                                           "linspace",
                                           "logspace",
                                           "max",
                                           "mean",
                                           "median",
                                           "min",
                                           "moveaxis",
                                           "nanmean",
                                           "nonzero",
                                           "ones",
                                           "ones_like",
                                           "outer",
                                           "percentile",
                                           "prod",
                                           "quantile",
                                           "ravel",
                                           "repeat",
                                           "reshape",
                                           "roll",
                                           "round",
                                           "searchsorted",
                                           "sort",
                                           "squeeze",
                                           "std",
                                           "sum",
                                           "swapaxes",
                                           "tile",
                                           "trace",
                                           "transpose",
                                           "unique",
                                           "var",
                                           "where",
                                           "zeros",
                                           "stack",
                                           "hstack",
                                           "vstack",
                                           "column_stack",
                                           "zeros_like"};
constexpr std::string_view kOperators[] = {
    "__add__",     "__and__", "__eq__",     "__floordiv__", "__ge__",     "__getitem__", "__gt__",
    "__inv__",     "__le__",  "__lshift__", "__lt__",       "__matmul__", "__mod__",     "__mul__",
    "__ne__",      "__neg__", "__or__",     "__pos__",      "__pow__",    "__rshift__",  "__sub__",
    "__truediv__", "__xor__", "truth",      "__invert__"};
constexpr std::string_view kWritingOperators[] = {
    "__iadd__",     "__iand__", "__ifloordiv__", "__ilshift__", "__imatmul__",
    "__imod__",     "__imul__", "__ior__",       "__ipow__",    "__irshift__",
    "__itruediv__", "__isub__", "__ixor__",      "__setitem__"};
constexpr std::string_view kWritingMethods[] = {"fill", "partition", "put", "sort"};
constexpr std::string_view kWritingFunctions[] = {"copyto", "fill_diagonal", "place", "put",
                                                  "putmask"};
constexpr std::string_view kBuiltins[] = {"abs",     "bool", "divmod", "float",
                                          "getattr", "int",  "len",    "round"};
constexpr std::string_view kOfTorch[] = {"as_tensor", "from_numpy", "tensor"};

// What a program has put into a module's place may do anything. Of most functions this says at once
// that they are none of it.
bool mayBeOf(const char *module, PyObject *function) {
  if (!PyFunction_Check(function))
    return !PyMethod_Check(function) && !(Py_TYPE(function)->tp_flags & Py_TPFLAGS_HEAPTYPE);
  PyObject *where = PyDict_GetItemString(PyFunction_GET_GLOBALS(function), "__name__");
  const char *name = where && PyUnicode_Check(where) ? PyUnicode_AsUTF8(where) : nullptr;
  PyErr_Clear(); // a name that is no UTF-8
  return name && std::string_view(name).starts_with(module);
}

template <size_t count>
bool isOneOf(PyObject *function, const char *module, const std::string_view (&names)[count]) {
  return mayBeOf(module, function) &&
         std::any_of(std::begin(names), std::end(names), [&](std::string_view name) {
           return ofModule(module, std::string(name)) == function;
         });
}

template <size_t count>
bool isMethodOfNumpy(PyObject *function, const std::string_view (&names)[count]) {
  if (!Py_IS_TYPE(function, &PyMethodDescr_Type))
    return false;
  PyTypeObject *owner = PyDescr_TYPE(function);
  return (isOfC(owner, "numpy.ndarray") || isOfC(owner, "numpy.generic")) &&
         std::find(std::begin(names), std::end(names), attributeText(function, "__name__")) !=
             std::end(names);
}

// Of numpy's own.
bool isScalarClass(PyTypeObject *type) {
  if (!std::string_view(type->tp_name).starts_with("numpy.") ||
      type->tp_flags & Py_TPFLAGS_HEAPTYPE)
    return false;
  for (PyTypeObject *base = type; base; base = base->tp_base)
    if (isOfC(base, "numpy.generic"))
      return true;
  return false;
}

} // namespace

bool isNumpyArray(PyObject *object) { return isOfC(Py_TYPE(object), "numpy.ndarray"); }

bool isNumpyScalar(PyObject *object) { return isScalarClass(Py_TYPE(object)); }

bool isMask(PyObject *data) {
  if (!data || !isNumpyArray(data))
    return false;
  PyRef type = checked(PyObject_GetAttrString(data, "dtype"));
  PyRef kind = checked(PyObject_GetAttrString(type.get(), "kind"));
  PyRef rank = checked(PyObject_GetAttrString(data, "ndim"));
  return PyUnicode_CompareWithASCIIString(kind.get(), "b") == 0 &&
         PyLong_AsLongLong(rank.get()) > 0;
}

PyRef ownerOfMemory(PyObject *array) {
  PyRef owner = PyRef::share(array);
  while (isNumpyArray(owner.get())) {
    PyRef base = checked(PyObject_GetAttrString(owner.get(), "base"));
    if (base.get() == Py_None)
      break;
    owner = std::move(base);
  }
  return owner;
}

bool isFunctionOfNumpy(PyObject *function) {
  return PyFunction_Check(function) && isOneOf(function, "numpy", kFunctions);
}

// Those that numpy has: one that a program makes may call the program.
bool isUfuncOfNumpy(PyObject *function) {
  return isOfC(Py_TYPE(function), "numpy.ufunc") &&
         ofModule("numpy", attributeText(function, "__name__")) == function;
}

bool isPureOfNumpy(PyObject *function) {
  bool isClass =
      PyType_Check(function) && isScalarClass(reinterpret_cast<PyTypeObject *>(function));
  return isClass || isMethodOfNumpy(function, kMethods) || isUfuncOfNumpy(function) ||
         isOneOf(function, "operator", kOperators) || isOneOf(function, "builtins", kBuiltins) ||
         isOneOf(function, "torch", kOfTorch) || isOneOf(function, "numpy", kFunctions);
}

bool mayWarn(PyObject *function) { return ofModule("torch", "from_numpy") != function; }

bool makesNewData(PyObject *function) {
  return std::find(std::begin(kViews), std::end(kViews), attributeText(function, "__name__")) ==
         std::end(kViews);
}

bool holdsObjects(PyObject *data) {
  PyRef type = checked(PyObject_GetAttrString(data, "dtype"));
  return checked(PyObject_GetAttrString(type.get(), "hasobject")).get() == Py_True;
}

// `out` may be given by its position too.
bool writesToArgument(PyObject *function, const CallArguments &arguments) {
  for (const auto &[name, value] : arguments.keywords)
    if (PyUnicode_CompareWithASCIIString(name.get(), "out") == 0)
      return true;
  PyRef inputs = PyRef::steal(PyObject_GetAttrString(function, "nin")); // of a ufunc
  PyErr_Clear();                                                        // it is none
  size_t most = inputs ? PyLong_AsSize_t(inputs.get()) : 3;
  for (size_t i = most; i < arguments.positional.size(); ++i)
    if (arguments.positional[i].get() != Py_None && !isImmutable(arguments.positional[i].get()))
      return true;
  return false;
}

std::optional<WrittenOperand> writtenOperand(PyObject *function, const CallArguments &arguments) {
  for (const auto &[name, value] : arguments.keywords)
    if (PyUnicode_CompareWithASCIIString(name.get(), "out") == 0)
      return isPureOfNumpy(function) ? std::optional(WrittenOperand{.isOut = true}) : std::nullopt;
  if (isUfuncOfNumpy(function)) {
    PyRef inputs = checked(PyObject_GetAttrString(function, "nin"));
    size_t first = PyLong_AsSize_t(inputs.get());
    return arguments.positional.size() == first + 1 ? std::optional(WrittenOperand{first})
                                                    : std::nullopt;
  }
  if (isOneOf(function, "operator", kWritingOperators) ||
      isMethodOfNumpy(function, kWritingMethods) || isOneOf(function, "numpy", kWritingFunctions))
    return WrittenOperand{};
  bool isAt = Py_IS_TYPE(function, &PyMethodDescr_Type) &&
              isOfC(PyDescr_TYPE(function), "numpy.ufunc") &&
              attributeText(function, "__name__") == "at";
  if (isAt && !arguments.positional.empty() && isUfuncOfNumpy(arguments.positional[0].get()))
    return WrittenOperand{1};
  return std::nullopt;
}

NumpyErrors::NumpyErrors(const char *inPlaceOfWarnings) {
  PyObject *get = ofModule("numpy", "geterr"), *make = ofModule("numpy", "errstate");
  if (!get || !make)
    return;
  PyRef now = checked(PyObject_CallNoArgs(get)), changed = checked(PyDict_New());
  PyRef instead = checked(PyUnicode_FromString(inPlaceOfWarnings));
  PyObject *kind = nullptr, *setting = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(now.get(), &at, &kind, &setting);)
    if (PyUnicode_CompareWithASCIIString(setting, "warn") == 0)
      checked(PyDict_SetItem(changed.get(), kind, instead.get()));
  if (PyDict_GET_SIZE(changed.get()) == 0)
    return;
  PyRef none = checked(PyTuple_New(0));
  PyRef state = checked(PyObject_Call(make, none.get(), changed.get()));
  checked(PyObject_CallMethod(state.get(), "__enter__", nullptr));
  state_ = state;
}

NumpyErrors::~NumpyErrors() {
  if (!state_)
    return;
  PendingException ofTheCall;
  if (!PyRef::steal(
          PyObject_CallMethod(state_.get(), "__exit__", "OOO", Py_None, Py_None, Py_None)))
    PyErr_WriteUnraisable(state_.get());
}

PyObject *operatorFunction(const char *name) {
  static PyObject *module = PyImport_ImportModule("operator");
  return module ? PyDict_GetItemString(PyModule_GetDict(module), name) : nullptr;
}

PyObject *ofModule(const char *module, const std::string &name) {
  PyObject *imported = PyDict_GetItemString(PyImport_GetModuleDict(), module);
  return imported && PyModule_Check(imported)
             ? PyDict_GetItemString(PyModule_GetDict(imported), name.c_str())
             : nullptr;
}

} // namespace bifront
