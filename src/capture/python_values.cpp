#include "capture/python_values.h"

#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/csrc/utils/python_symnode.h>

#include <ATen/ScalarOps.h>

#include <limits>
#include <string_view>

namespace bifront {
bool isLibraryFile(std::string_view file) {
  return file.find("/torch/") != std::string_view::npos ||
         file.find("/bifront/") != std::string_view::npos || file.starts_with("<frozen");
}

c10::SymNode symbolicNumberBeside(const at::Tensor &tensor) {
  if (!tensor.unsafeGetTensorImpl()->pyobj_slot()->load_pyobj())
    return {};
  pybind11::gil_scoped_acquire gil;
  auto object = pybind11::reinterpret_steal<pybind11::object>(THPVariable_Wrap(tensor));
  static PyObject *name = PyUnicode_InternFromString("_wrapped_number");
  auto number = pybind11::reinterpret_steal<pybind11::object>(PyObject_GetAttr(object.ptr(), name));
  if (!number) {
    PyErr_Clear(); // an ordinary tensor that Python knows
    return {};
  }
  if (torch::is_symint(number))
    return number.cast<c10::SymInt>().toSymNode();
  if (torch::is_symfloat(number))
    return number.cast<c10::SymFloat>().toSymNodeImpl();
  if (torch::is_symbool(number))
    return number.cast<c10::SymBool>().toSymNodeImpl();
  return {};
}

c10::SymNode nodeForPython(const c10::SymNode &node) {
  pybind11::gil_scoped_acquire gil;
  return c10::make_intrusive<torch::impl::PythonSymNodeImpl>(pybind11::cast(node));
}

c10::SymNode nodeFromPython(const c10::SymNode &node) {
  auto *python = dynamic_cast<torch::impl::PythonSymNodeImpl *>(node.get());
  if (!python)
    return node;
  pybind11::gil_scoped_acquire gil;
  pybind11::handle object = python->getPyObj();
  return pybind11::isinstance<c10::SymNodeImpl>(object) ? object.cast<c10::SymNode>() : node;
}

// As the `__init__` of these classes does, which is Python's.
PyObject *newSymbolicNumber(const c10::SymNode &node) {
  pybind11::handle cls = node->is_int()     ? torch::get_symint_class()
                         : node->is_float() ? torch::get_symfloat_class()
                                            : torch::get_symbool_class();
  auto *python = dynamic_cast<torch::impl::PythonSymNodeImpl *>(node.get());
  auto held = python ? pybind11::reinterpret_borrow<pybind11::object>(python->getPyObj())
                     : pybind11::cast(node);
  static PyObject *const nothing = PyTuple_New(0);
  auto *type = reinterpret_cast<PyTypeObject *>(cls.ptr());
  PyRef number = PyRef::steal(PyBaseObject_Type.tp_new(type, nothing, nullptr));
  if (!number || PyObject_SetAttrString(number.get(), "node", held.ptr()) < 0)
    return nullptr;
  return number.release();
}

at::Tensor tensorBesideNumber(const c10::IValue &number) {
  at::Scalar meaningless = number.isSymInt() ? at::Scalar(int64_t{7777777})
                           : number.isSymBool()
                               ? at::Scalar(true)
                               : at::Scalar(std::numeric_limits<double>::quiet_NaN());
  at::Tensor tensor =
      at::detail::scalar_tensor_static(meaningless, meaningless.type(), at::Device(at::kCPU));
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  c10::SymNode node = number.isSymInt()    ? number.toSymInt().toSymNode()
                      : number.isSymBool() ? number.toSymBool().toSymNodeImpl()
                                           : number.toSymFloat().toSymNodeImpl();
  auto object = pybind11::reinterpret_steal<pybind11::object>(newSymbolicNumber(node));
  if (!object)
    throw python_error();
  auto wrapped = pybind11::reinterpret_steal<pybind11::object>(THPVariable_Wrap(tensor));
  if (PyObject_SetAttrString(wrapped.ptr(), "_wrapped_number", object.ptr()) < 0)
    throw python_error();
  return tensor;
}

SourceLine currentSourceLine() {
  pybind11::gil_scoped_acquire gil;
  SourceLine line;
  auto frame = pybind11::reinterpret_borrow<pybind11::object>(
      reinterpret_cast<PyObject *>(PyEval_GetFrame()));
  while (frame) {
    auto *raw = reinterpret_cast<PyFrameObject *>(frame.ptr());
    auto code = pybind11::reinterpret_steal<pybind11::object>(
        reinterpret_cast<PyObject *>(PyFrame_GetCode(raw)));
    PyObject *file = reinterpret_cast<PyCodeObject *>(code.ptr())->co_filename;
    const char *text = PyUnicode_AsUTF8(file);
    if (!text) {
      PyErr_Clear(); // a file name that is no text
      return line;
    }
    if (!isLibraryFile(text)) {
      line.file = text;
      line.line = PyFrame_GetLineNumber(raw);
      return line;
    }
    frame = pybind11::reinterpret_steal<pybind11::object>(
        reinterpret_cast<PyObject *>(PyFrame_GetBack(raw)));
  }
  return line;
}

} // namespace bifront
