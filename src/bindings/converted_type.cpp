#include "bindings/converted_type.h"

#include "speculate/converted_function.h"

#include <structmember.h>

#include <new>

namespace bifront {
namespace {

struct ConvertedObject {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject *dict;
  PyObject *weakrefs;
  ConvertedFunction *converted;
};

ConvertedFunction &convertedOf(PyObject *self) {
  return *reinterpret_cast<ConvertedObject *>(self)->converted;
}

PyObject *callConverted(PyObject *self, PyObject *const *args, size_t flags,
                        PyObject *keywordNames) {
  try {
    return convertedOf(self).call(args, PyVectorcall_NARGS(flags), keywordNames);
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
}

bool readDynamic(PyObject *list, ConversionOptions &options) {
  if (!PyList_Check(list)) {
    PyErr_SetString(PyExc_TypeError, "dynamic: a list of (argument, dimension) is needed");
    return false;
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    PyObject *argument = nullptr;
    long long dimension = 0;
    if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i),
                          "OL;dynamic: pairs of an argument and a dimension", &argument,
                          &dimension))
      return false;
    if (PyUnicode_Check(argument)) {
      const char *name = PyUnicode_AsUTF8(argument);
      if (!name)
        return false;
      options.dynamic.emplace_back(std::string(name), dimension);
    } else {
      long long position = PyLong_AsLongLong(argument);
      if (position == -1 && PyErr_Occurred())
        return false;
      options.dynamic.emplace_back(static_cast<int64_t>(position), dimension);
    }
  }
  return true;
}

PyObject *newConverted(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  PyObject *function = nullptr, *dynamic = nullptr;
  long long profileCalls = 1, maxGraphs = 8;
  int walked = 0;
  if (!PyArg_ParseTuple(args, "OOLLp:ConvertedFunction", &function, &dynamic, &profileCalls,
                        &maxGraphs, &walked))
    return nullptr;
  if (!PyCallable_Check(function))
    return PyErr_Format(PyExc_TypeError, "a callable is needed, not %s",
                        Py_TYPE(function)->tp_name);
  ConversionOptions options;
  options.profileCalls = profileCalls;
  options.maxGraphs = maxGraphs;
  options.walked = walked;
  if (!readDynamic(dynamic, options))
    return nullptr;
  auto *self = reinterpret_cast<ConvertedObject *>(type->tp_alloc(type, 0));
  if (!self)
    return nullptr;
  self->vectorcall = callConverted;
  self->converted = new (std::nothrow) ConvertedFunction(function, std::move(options));
  if (!self->converted) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  return reinterpret_cast<PyObject *>(self);
}

int traverseConverted(PyObject *self, visitproc visit, void *arg) {
  auto *object = reinterpret_cast<ConvertedObject *>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(object->dict);
  return object->converted ? object->converted->traverse(visit, arg) : 0;
}

int clearConverted(PyObject *self) {
  Py_CLEAR(reinterpret_cast<ConvertedObject *>(self)->dict);
  return 0;
}

void deallocConverted(PyObject *self) {
  auto *object = reinterpret_cast<ConvertedObject *>(self);
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (object->weakrefs)
    PyObject_ClearWeakRefs(self);
  clearConverted(self);
  delete object->converted;
  type->tp_free(self);
  Py_DECREF(type);
}

// As a function does: reached through an instance, it becomes a bound method.
PyObject *bindConverted(PyObject *self, PyObject *instance, PyObject *owner) {
  if (!instance || instance == Py_None)
    return Py_NewRef(self);
  return PyMethod_New(self, instance);
}

PyObject *statsOf(PyObject *self, void *) {
  ConvertedFunction &function = convertedOf(self);
  const ConversionStats &stats = function.stats();
  size_t opaqueCalls = 0;
  uint64_t shadowedBytes = 0, tapeBytes = 0;
  int64_t arenaBytes = 0;
  for (const auto &graph : function.graphs()) {
    opaqueCalls += graph->opaqueCalls().size();
    shadowedBytes += graph->executor->shadowedBytes();
    tapeBytes = std::max(tapeBytes, graph->executor->tapeBytes());
    arenaBytes += graph->bytes();
  }
  PyRef exits = PyRef::steal(PyDict_New());
  if (!exits)
    return nullptr;
  for (size_t i = 0; i < stats.exits.size(); ++i)
    if (uint64_t count = stats.exits[i]) {
      PyRef value = PyRef::steal(PyLong_FromUnsignedLongLong(count));
      if (!value || PyDict_SetItemString(exits.get(), std::string(kExitReasons[i].name).c_str(),
                                         value.get()) < 0)
        return nullptr;
    }
  PyRef notes = PyRef::steal(PyList_New(0));
  for (const auto &graph : function.forms())
    for (const std::string &note : graph->notes) {
      PyRef text = PyRef::steal(PyUnicode_DecodeUTF8(note.data(), note.size(), "replace"));
      if (!notes || !text || PyList_Append(notes.get(), text.get()) < 0)
        return nullptr;
    }
  return Py_BuildValue(
      "{s:K,s:K,s:K,s:K,s:K,s:n,s:n,s:n,s:K,s:K,s:L,s:d,s:O,s:O}", "calls", stats.calls.load(),
      "profiled_calls", stats.profiledCalls.load(), "graph_calls", stats.graphCalls.load(),
      "fallback_calls", stats.fallbackCalls.load(), "conversions", stats.conversions.load(),
      "graphs", static_cast<Py_ssize_t>(function.graphs().size()), "forms",
      static_cast<Py_ssize_t>(function.forms().size()), "opaque_calls",
      static_cast<Py_ssize_t>(opaqueCalls), "shadowed_bytes", shadowedBytes, "tape_bytes",
      tapeBytes, "arena_bytes", static_cast<long long>(arenaBytes), "conversion_seconds",
      stats.conversionSeconds, "exits", exits.get(), "notes", notes.get());
}

PyObject *fitsConverted(PyObject *self, PyObject *const *args, Py_ssize_t count,
                        PyObject *keywordNames) {
  try {
    return PyBool_FromLong(convertedOf(self).fits(args, count, keywordNames));
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
}

PyObject *lastErrorOf(PyObject *self, void *) {
  const std::string &text = convertedOf(self).stats().lastError;
  return PyUnicode_DecodeUTF8(text.data(), text.size(), "replace");
}

PyObject *captureCostOf(PyObject *self, void *) {
  const CaptureCost &cost = convertedOf(self).stats().captureCost;
  return Py_BuildValue("(Kd)", cost.ops, cost.seconds);
}

bool appendPair(const PyRef &list, const std::string &place, const std::string &text) {
  PyRef pair = PyRef::steal(Py_BuildValue("(ss)", place.c_str(), text.c_str()));
  return list && pair && PyList_Append(list.get(), pair.get()) == 0;
}

// What the graphs assert, where: lines as "file:line", and the condition.
PyObject *assumptionsOf(PyObject *self, void *) {
  PyRef list = PyRef::steal(PyList_New(0));
  for (const auto &graph : convertedOf(self).graphs())
    for (const AssertSpec &assertion : graph->executor->program().asserts)
      if (!appendPair(list, assertion.location, assertion.message))
        return nullptr;
  return list.release();
}

// What the graphs leave to Python in their middle: lines as "file:line", and what is called.
PyObject *opaqueCallsOf(PyObject *self, void *) {
  PyRef list = PyRef::steal(PyList_New(0));
  for (const auto &graph : convertedOf(self).graphs())
    for (const auto &[place, name] : graph->opaqueCalls())
      if (!appendPair(list, place, name))
        return nullptr;
  return list.release();
}

// What went wrong, where and how often: lines as "file:line", the exit reason's name, the message.
PyObject *failuresOf(PyObject *self, void *) {
  PyRef list = PyRef::steal(PyList_New(0));
  for (const ExitPlace &place : convertedOf(self).stats().places) {
    PyRef row = PyRef::steal(Py_BuildValue("(sssK)", place.location.c_str(),
                                           std::string(textOf(place.reason).name).c_str(),
                                           place.message.c_str(), place.count));
    if (!list || !row || PyList_Append(list.get(), row.get()) < 0)
      return nullptr;
  }
  return list.release();
}

PyObject *graphTextsOf(PyObject *self, void *) {
  auto graphs = convertedOf(self).graphs();
  PyRef list = PyRef::steal(PyList_New(0));
  for (const auto &graph : graphs) {
    PyRef text = PyRef::steal(
        PyUnicode_FromStringAndSize(graph->moduleText.data(), graph->moduleText.size()));
    if (!list || !text || PyList_Append(list.get(), text.get()) < 0)
      return nullptr;
  }
  return list.release();
}

PyGetSetDef attributes[] = {
    {"stats", statsOf, nullptr, "Counters of calls, conversions and exits.", nullptr},
    {"last_error", lastErrorOf, nullptr, "What the last exit with a message said.", nullptr},
    {"capture_cost", captureCostOf, nullptr, "Operators that were captured, and seconds for it.",
     nullptr},
    {"assumptions", assumptionsOf, nullptr, "What the graphs assert, and at which lines.", nullptr},
    {"opaque_calls", opaqueCallsOf, nullptr, "What the graphs call in Python, and at which lines.",
     nullptr},
    {"failures", failuresOf, nullptr, "The exits that have a line, with their messages.", nullptr},
    {"graph_texts", graphTextsOf, nullptr, "The graphs as text, after all passes.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMethodDef methods[] = {
    {"fits", reinterpret_cast<PyCFunction>(reinterpret_cast<void *>(fitsConverted)),
     METH_FASTCALL | METH_KEYWORDS,
     "Whether a graph may run for these arguments, which says nothing of their values."},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(ConvertedObject, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(ConvertedObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ConvertedObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

template <typename Function> void *slot(Function *function) {
  return reinterpret_cast<void *>(function);
}

} // namespace

PyObject *makeConvertedFunctionType() {
  PyType_Slot slots[] = {{Py_tp_new, slot(newConverted)},
                         {Py_tp_dealloc, slot(deallocConverted)},
                         {Py_tp_traverse, slot(traverseConverted)},
                         {Py_tp_clear, slot(clearConverted)},
                         {Py_tp_call, slot(PyVectorcall_Call)},
                         {Py_tp_descr_get, slot(bindConverted)},
                         {Py_tp_getset, attributes},
                         {Py_tp_members, members},
                         {Py_tp_methods, methods},
                         {Py_tp_doc, const_cast<char *>("A function and the graphs made of it.")},
                         {0, nullptr}};
  PyType_Spec spec = {"bifront._core.ConvertedFunction", sizeof(ConvertedObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots};
  return PyType_FromSpec(&spec);
}

} // namespace bifront
