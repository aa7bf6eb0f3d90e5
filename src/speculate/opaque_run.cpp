#include "speculate/opaque_run.h"

#include "frontend/numpy_data.h"
#include "frontend/python_error.h"
#include "frontend/random_sources.h"
#include "speculate/converted_graph.h"
#include "support/gil.h"
#include "support/pending_exception.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <mutex>

namespace bifront {

static thread_local OpaqueRun *currentRun = nullptr;

OpaqueRun::OpaqueRun(bool needed) : isCurrent_(needed) {
  if (isCurrent_)
    outer_ = std::exchange(currentRun, this);
}

OpaqueRun::~OpaqueRun() {
  if (isCurrent_)
    currentRun = outer_;
  if (!sources_.empty() || !held_.empty() || written_.any() || graph_) {
    Gil gil;
    log_.clear();
    inputs_.clear();
    sources_.clear();
    written_.clear();
    held_.clear();
  }
}

OpaqueRun *OpaqueRun::current() { return currentRun; }

void OpaqueRun::keepState(PyObject *source) {
  bool isKept = std::any_of(sources_.begin(), sources_.end(),
                            [&](const auto &kept) { return kept.first.get() == source; });
  if (!isKept)
    sources_.emplace_back(PyRef::share(source), stateOfSource(source));
}

// The last comes first: two sources may share their state.
void OpaqueRun::restore() {
  if (sources_.empty() && !written_.any())
    return;
  Gil gil;
  written_.clear(); // CPython runs next, and reads what is there
  PendingException ofTheRun;
  for (auto kept = sources_.rbegin(); kept != sources_.rend(); ++kept) {
    try {
      setStateOfSource(kept->first.get(), kept->second.get());
    } catch (const PythonError &) {
      PyErr_WriteUnraisable(kept->first.get());
    }
  }
  sources_.clear();
}

//===- Calls with effects
//----------------------------------------------------------------------===//

namespace {

// Nobody else has it: neither what is behind the call changes it, nor a later call.
bool isPrivate(PyObject *object, Py_ssize_t references) {
  if (PyTuple_CheckExact(object)) {
    if (Py_REFCNT(object) != references)
      return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i)
      if (!isPrivate(PyTuple_GET_ITEM(object, i), 1))
        return false;
    return true;
  }
  if (!isNumpyArray(object))
    return true; // is only handed on, or nobody can change it
  PyRef base = PyRef::steal(PyObject_GetAttrString(object, "base"));
  constexpr Py_ssize_t ofTheArrayAndOurs = 2;
  return Py_REFCNT(object) == references && base &&
         (base.get() == Py_None ||
          (isNumpyArray(base.get()) && Py_REFCNT(base.get()) == ofTheArrayAndOurs));
}

PyObject *stop(const char *why) {
  PyErr_SetString(PyExc_RuntimeError, why);
  return nullptr;
}

} // namespace

void OpaqueRun::makeCalls(const ConvertedGraph &graph) {
  graph_ = &graph;
  inputs_ = graph.guards.inputValues();
  modes_.emplace();
}

PyObject *OpaqueRun::make(const std::shared_ptr<const CallPlace> &place,
                          const std::function<PyRef()> &call) {
  LoggedCall logged{place, {}, {}};
  {
    at::ThreadLocalStateGuard theProgram(*modes_);
    GlobalModes before = GlobalModes::now();
    logged.result = call();
    if (!logged.result)
      logged.exception = takeException();
    if (GlobalModes::now() != before)
      logged.modes.emplace();
  }
  for (const auto &[source, state] : sources_)
    logged.sources.emplace_back(source, stateOfSource(source.get()));
  if (graph_->drawsRandomNumbers) { // allocates no tensor, which may fail
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    std::scoped_lock lock(generator.mutex());
    logged.torchState = generator.clone();
  }
  bool isSame = graph_->guards.hold();
  std::vector<PyRef> inputs = graph_->guards.inputValues();
  for (size_t i = 0; i < inputs.size(); ++i)
    isSame = isSame && inputs[i].get() == inputs_[i].get();
  if (!isSame)
    logged.changes = graph_->guards.changes(inputs_);
  bool mayGoOn = isSame && !logged.modes;
  bool isNobodyElses = !logged.result || isPrivate(logged.result.get(), 1);
  PyRef result = logged.result, exception = logged.exception;
  log_.push_back(std::move(logged));
  if (exception) {
    PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(exception.get())), exception.get());
    return nullptr;
  }
  if (!mayGoOn)
    return stop("an opaque call has changed what the graph has read");
  if (!isNobodyElses)
    return stop("an opaque call has returned an array that others may change");
  return result.release();
}

} // namespace bifront
