#include "capture/python_functions.h"

#include "capture/asserted_history.h"
#include "capture/backward.h"
#include "capture/proxy.h"
#include "capture/python_values.h"
#include "capture/symbolic.h"

#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/csrc/utils/python_symnode.h>

namespace bifront {
namespace {

using torch::autograd::variable_list;

Capture &runningCapture() {
  Capture *capture = Capture::current();
  if (!capture)
    throw CaptureError("no function is being captured on this thread");
  return *capture;
}

PyObject *none() { Py_RETURN_NONE; }

PyObject *captureActive(PyObject *, PyObject *) {
  return PyBool_FromLong(Capture::current() != nullptr);
}

PyObject *captureInfers(PyObject *, PyObject *) { return PyBool_FromLong(Capture::infers()); }

PyObject *note(PyObject *, PyObject *object) {
  HANDLE_TH_ERRORS
  if (THPVariable_Check(object))
    runningCapture().note(THPVariable_Unpack(object));
  return none();
  END_HANDLE_TH_ERRORS
}

PyObject *noteGrad(PyObject *, PyObject *object) {
  HANDLE_TH_ERRORS
  if (THPVariable_Check(object))
    runningCapture().noteGradRead(THPVariable_Unpack(object));
  return none();
  END_HANDLE_TH_ERRORS
}

PyObject *setGrad(PyObject *, PyObject *const *args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  TORCH_CHECK_TYPE(count == 2, "capture_set_grad takes a tensor and a value");
  if (THPVariable_Check(args[0]))
    runningCapture().noteGradSet(THPVariable_Unpack(args[0]), /*isDropped=*/args[1] == Py_None);
  return none();
  END_HANDLE_TH_ERRORS
}

PyObject *noteHistoryRead(PyObject *, PyObject *object) {
  HANDLE_TH_ERRORS
  Capture &capture = runningCapture();
  if (THPVariable_Check(object))
    requireSureHistory(capture, THPVariable_Unpack(object),
                       "the program asks whether a tensor has a history");
  return none();
  END_HANDLE_TH_ERRORS
}

PyObject *fail(PyObject *, PyObject *message) {
  HANDLE_TH_ERRORS
  const char *text = PyUnicode_AsUTF8(message);
  if (!text)
    return nullptr;
  runningCapture().fail(text);
  END_HANDLE_TH_ERRORS
}

variable_list tensorsOf(PyObject *sequence, Capture &capture) {
  variable_list tensors;
  auto items = pybind11::reinterpret_steal<pybind11::object>(
      PySequence_Fast(sequence, "a sequence of tensors is expected"));
  if (!items)
    throw python_error();
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.ptr()); ++i) {
    PyObject *item = PySequence_Fast_GET_ITEM(items.ptr(), i);
    if (Py_IsNone(item))
      tensors.emplace_back();
    else if (THPVariable_Check(item))
      tensors.push_back(THPVariable_Unpack(item));
    else
      capture.fail("backward starts or ends at an edge of autograd's graph, not at a tensor");
  }
  return tensors;
}

// (outputs, seeds, retain_graph, create_graph, inputs, allow_unreachable, accumulate_grad), as
// torch.autograd's engine is called.
PyObject *backward(PyObject *, PyObject *const *args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  if (count != 7) {
    PyErr_SetString(PyExc_TypeError, "capture_backward takes 7 arguments");
    return nullptr;
  }
  Capture &capture = runningCapture();
  BackwardCall call;
  call.outputs = tensorsOf(args[0], capture);
  call.seeds = tensorsOf(args[1], capture);
  bool flags[4];
  for (auto [flag, index] : {std::pair(0, 2), {1, 3}, {2, 5}, {3, 6}}) {
    int truth = PyObject_IsTrue(args[index]);
    if (truth < 0)
      throw python_error();
    flags[flag] = truth;
  }
  call.retainGraph = flags[0], call.createGraph = flags[1];
  call.allowUnused = flags[2], call.accumulate = flags[3];
  call.inputs = tensorsOf(args[4], capture);
  variable_list gradients;
  try {
    gradients = captureBackward(capture, call);
  } catch (const std::exception &error) {
    // Whatever eager would do with its own exception, it has one: CPython shall say.
    capture.recording().noteFailure(error.what());
    throw;
  }
  auto tuple = pybind11::reinterpret_steal<pybind11::object>(PyTuple_New(gradients.size()));
  if (!tuple)
    return nullptr;
  for (size_t i = 0; i < gradients.size(); ++i)
    PyTuple_SET_ITEM(tuple.ptr(), i,
                     gradients[i].defined() ? THPVariable_Wrap(gradients[i]) : none());
  return tuple.release().ptr();
  END_HANDLE_TH_ERRORS
}

// torch.SymInt, SymFloat and SymBool lack these on nodes that are not Python's.
template <c10::SymNode (SymbolicScalar::*method)()>
PyObject *symbolic(PyObject *, PyObject *number) {
  HANDLE_TH_ERRORS
  pybind11::handle object(number);
  c10::SymNode node = torch::is_symfloat(object) ? object.cast<c10::SymFloat>().toSymNodeImpl()
                      : torch::is_symint(object) ? object.cast<c10::SymInt>().toSymNode()
                                                 : object.cast<c10::SymBool>().toSymNodeImpl();
  SymbolicScalar *symbol = SymbolicScalar::of(node);
  if (!symbol)
    throw CaptureError("a symbolic number of another tracer is used");
  c10::SymNode result = (symbol->*method)();
  return newSymbolicNumber(result);
  END_HANDLE_TH_ERRORS
}

PyMethodDef functions[] = {
    {"capture_active", captureActive, METH_NOARGS, "Whether this thread captures a function."},
    {"capture_infers", captureInfers, METH_NOARGS,
     "Whether this thread captures, and asks PyTorch what an op would return."},
    {"capture_note", note, METH_O, "A tensor is about to change in a way that no op tells of."},
    {"capture_note_grad", noteGrad, METH_O, "The program looks at a tensor's `.grad`."},
    {"capture_set_grad", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(setGrad)),
     METH_FASTCALL, "The program sets a tensor's `.grad`."},
    {"capture_note_history", noteHistoryRead, METH_O,
     "The program looks whether a tensor requires grad, is a leaf or has a `.grad_fn`."},
    {"capture_fail", fail, METH_O, "Ends the capture with a reason."},
    {"capture_backward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(backward)),
     METH_FASTCALL, "Runs autograd's engine in the graph."},
    {"capture_sqrt", symbolic<&SymbolicScalar::sqrt>, METH_O,
     "The square root of a graph's number."},
    {"capture_trunc", symbolic<&SymbolicScalar::trunc>, METH_O, "int() of a graph's number."},
    {"capture_round", symbolic<&SymbolicScalar::round>, METH_O, "round() of a graph's number."},
    {nullptr, nullptr, 0, nullptr},
};

} // namespace

bool addCaptureFunctions(PyObject *module) { return PyModule_AddFunctions(module, functions) == 0; }

} // namespace bifront
