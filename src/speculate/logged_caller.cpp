#include "speculate/logged_caller.h"

#include "frontend/callbacks.h"
#include "frontend/python_error.h"
#include "speculate/opaque_run.h"

#include <algorithm>

namespace bifront {
namespace {

std::vector<PyRef> standInsFor(const std::vector<LoggedFrame> &frames) {
  PyRef hook = checked(PyObject_GetAttrString(
      checked(PyImport_ImportModule("bifront._call_sites")).get(), "frame_at"));
  std::vector<PyRef> made;
  for (const LoggedFrame &frame : frames)
    made.push_back(checked(PyObject_CallFunction(hook.get(), "OiO", frame.code.get(), frame.line,
                                                 frame.globals.get())));
  return made;
}

// Null with an exception set, in whose traceback our frames are not.
PyRef callInFrames(const std::vector<PyRef> &frames, PyObject *all, PyObject *keywords) {
  PyRef function = PyRef::share(PyTuple_GET_ITEM(all, 0));
  PyRef arguments = checked(PyTuple_GetSlice(all, 1, PyTuple_GET_SIZE(all)));
  PyRef none = checked(PyDict_New()), named = keywords ? PyRef::share(keywords) : none;
  for (const PyRef &frame : frames) {
    arguments = checked(PyTuple_Pack(3, function.get(), arguments.get(), named.get()));
    function = frame;
    named = none;
  }
  PyRef result = PyRef::steal(PyObject_Call(function.get(), arguments.get(), named.get()));
  if (result)
    return result;
  PyRef exception = takeException();
  PyRef trace = PyRef::steal(PyException_GetTraceback(exception.get()));
  for (size_t i = 0; i < frames.size() && trace; ++i)
    trace = checked(PyObject_GetAttrString(trace.get(), "tb_next"));
  PyException_SetTraceback(exception.get(), trace ? trace.get() : Py_None);
  setException(exception);
  return {};
}

class CallerFrom final : public Callback {
public:
  explicit CallerFrom(std::vector<PyRef> frames) : frames_(std::move(frames)) {}
  PyObject *call(PyObject *arguments, PyObject *keywords) override {
    return callInFrames(frames_, arguments, keywords).release();
  }

private:
  std::vector<PyRef> frames_;
};

class LoggedCaller final : public Callback {
public:
  LoggedCaller(const CallPlace &place, PyRef sample, std::vector<LoggedFrame> walked, bool grad)
      : grad_(grad), place_(std::make_shared<CallPlace>(place)), sample_(std::move(sample)),
        walked_(std::move(walked)), frames_(standInsFor(walked_)) {}

  bool isFor(const CallPlace &place, PyObject *sample, const std::vector<LoggedFrame> &frames,
             bool grad) const {
    auto same = [](const LoggedFrame &one, const LoggedFrame &other) {
      return one.code.get() == other.code.get() && one.globals.get() == other.globals.get() &&
             one.line == other.line;
    };
    return *place_ == place && sample_.get() == sample && grad_ == grad &&
           std::equal(frames.begin(), frames.end(), walked_.begin(), walked_.end(), same);
  }

  PyObject *call(PyObject *arguments, PyObject *keywords) override {
    OpaqueRun *run = OpaqueRun::current();
    if (!run || !run->makesCalls())
      return Py_NewRef(sample_.get());
    return run->make(place_, grad_, [&] { return callInFrames(frames_, arguments, keywords); });
  }

private:
  bool grad_; // whether gradients are recorded there
  std::shared_ptr<const CallPlace> place_;
  PyRef sample_;
  std::vector<LoggedFrame> walked_; // from the innermost
  std::vector<PyRef> frames_;       // that stand for them
};

} // namespace

PyRef makeLoggedCaller(const CallPlace &place, const OpaqueSite &site,
                       const std::vector<LoggedFrame> &frames, bool grad) {
  PyObject *sample = site.sample.get();
  return sharedCallable<LoggedCaller>(
      [&](const LoggedCaller &other) { return other.isFor(place, sample, frames, grad); },
      [&] { return std::make_shared<LoggedCaller>(place, site.sample, frames, grad); });
}

PyRef makeCallerFrom(const std::vector<LoggedFrame> &frames) {
  return checked(makeCallable(std::make_shared<CallerFrom>(standInsFor(frames))));
}

bool isLoggedCaller(PyObject *object) {
  return dynamic_cast<LoggedCaller *>(callbackOf(object)) != nullptr;
}

} // namespace bifront
