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

at::Tensor tensorBesideNumber(const c10::IValue &number) {
  at::Scalar meaningless = number.isSymInt() ? at::Scalar(int64_t{7777777})
                           : number.isSymBool()
                               ? at::Scalar(true)
                               : at::Scalar(std::numeric_limits<double>::quiet_NaN());
  at::Tensor tensor =
      at::detail::scalar_tensor_static(meaningless, meaningless.type(), at::Device(at::kCPU));
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  auto held = [](const auto &symbol) { return nodeForPython(symbol.toSymNodeImpl()); };
  pybind11::object object = number.isSymInt() ? pybind11::cast(number.toSymInt())
                            : number.isSymBool()
                                ? pybind11::cast(c10::SymBool(held(number.toSymBool())))
                                : pybind11::cast(c10::SymFloat(held(number.toSymFloat())));
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
