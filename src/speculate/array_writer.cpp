#include "speculate/array_writer.h"

#include "frontend/callbacks.h"
#include "speculate/opaque_run.h"

namespace bifront {
namespace {

class ArrayWriter final : public Callback {
public:
  ArrayWriter(PyObject *function, const WrittenOperand &written)
      : function_(PyRef::share(function)), written_(written) {}

  bool isFor(PyObject *function, const WrittenOperand &written) const {
    return function_.get() == function && written_ == written;
  }

  PyObject *call(PyObject *arguments, PyObject *keywords) override {
    OpaqueRun *run = OpaqueRun::current();
    PyObject *array = written_.isOut ? keywords ? PyDict_GetItemString(keywords, "out") : nullptr
                                     : PyTuple_GetItem(arguments, written_.position);
    if (!run || !array || !isNumpyArray(array)) {
      PyErr_SetString(PyExc_RuntimeError, "what is written to is no array of a run");
      return nullptr;
    }
    run->keepArray(array);
    return PyObject_Call(function_.get(), arguments, keywords);
  }

private:
  PyRef function_;
  WrittenOperand written_;
};

class Apart final : public Callback {
public:
  PyObject *call(PyObject *arguments, PyObject *) override {
    if (OpaqueRun *run = OpaqueRun::current())
      run->keepApart(PyTuple_GET_ITEM(arguments, 0));
    return Py_NewRef(Py_None);
  }
};

} // namespace

PyRef makeApart() {
  return sharedCallable<Apart>([](const Apart &) { return true; },
                               [] { return std::make_shared<Apart>(); });
}

PyRef makeArrayWriter(PyObject *function, const WrittenOperand &written) {
  return sharedCallable<ArrayWriter>(
      [&](const ArrayWriter &other) { return other.isFor(function, written); },
      [&] { return std::make_shared<ArrayWriter>(function, written); });
}

} // namespace bifront
