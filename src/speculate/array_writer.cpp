#include "speculate/array_writer.h"

#include "frontend/callbacks.h"
#include "frontend/python_error.h"
#include "speculate/opaque_run.h"

#include <map>

namespace bifront {
namespace {

class ArrayWriter final : public Callback {
public:
  ArrayWriter(PyObject *function, const WrittenOperand &written)
      : function_(PyRef::share(function)), written_(written) {}

  PyObject *call(PyObject *arguments, PyObject *keywords) override {
    OpaqueRun *run = OpaqueRun::current();
    PyObject *array = written_.isOut ? keywords ? PyDict_GetItemString(keywords, "out") : nullptr
                                     : PyTuple_GetItem(arguments, written_.position);
    if (!run || !array || !isNumpyArray(array)) {
      PyErr_SetString(PyExc_RuntimeError, "what is written to is no array of a run");
      return nullptr;
    }
    try {
      run->keepArray(array);
    } catch (const PythonError &) {
      return nullptr;
    } catch (const std::exception &error) {
      PyErr_SetString(PyExc_RuntimeError, error.what());
      return nullptr;
    }
    return PyObject_Call(function_.get(), arguments, keywords);
  }

private:
  PyRef function_;
  WrittenOperand written_;
};

class Apart final : public Callback {
public:
  PyObject *call(PyObject *arguments, PyObject *) override {
    OpaqueRun *run = OpaqueRun::current();
    try {
      if (run)
        run->keepApart(PyTuple_GET_ITEM(arguments, 0));
      return Py_NewRef(Py_None);
    } catch (const PythonError &) {
    } catch (const std::exception &error) {
      PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
  }
};

} // namespace

PyRef makeApart() {
  // Never destroyed: the interpreter ends before C++ statics do.
  static auto *known = new PyRef(checked(makeCallable(std::make_shared<Apart>())));
  return *known;
}

// The same one each time: the paths of a graph have to agree on it.
PyRef makeArrayWriter(PyObject *function, const WrittenOperand &written) {
  // Never destroyed: the interpreter ends before C++ statics do. The functions are few, and
  // numpy's.
  static auto *known = new std::map<std::pair<PyObject *, WrittenOperand>, PyRef>;
  PyRef &writer = (*known)[{function, written}];
  if (!writer)
    writer = checked(makeCallable(std::make_shared<ArrayWriter>(function, written)));
  return writer;
}

} // namespace bifront
