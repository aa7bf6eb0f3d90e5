#include "speculate/call_log.h"

#include "frontend/ast_nodes.h"
#include "frontend/callbacks.h"
#include "frontend/python_error.h"
#include "frontend/random_sources.h"
#include "frontend/source.h"
#include "support/pending_exception.h"

#include <ATen/CPUGeneratorImpl.h>

#include <map>

namespace bifront {
namespace {

thread_local Replay *currentReplay = nullptr;
thread_local Sampling *currentSampling = nullptr;

// With its generator's lock held.
template <typename Use> void useTorchGenerator(const Use &use) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  std::scoped_lock lock(generator.mutex());
  use(*at::check_generator<at::CPUGeneratorImpl>(generator));
}

PyRef hook(const char *name) {
  return checked(
      PyObject_GetAttrString(checked(PyImport_ImportModule("bifront._call_sites")).get(), name));
}

//===- Calls that ask ------------------------------------------------------------------------===//

// A function about to be called at a place.
class AskedCall final : public Callback {
public:
  AskedCall(std::shared_ptr<const CallPlace> place, PyObject *function)
      : place_(std::move(place)), function_(PyRef::share(function)) {}

  PyObject *call(PyObject *arguments, PyObject *keywords) override {
    if (Replay *replay = Replay::current())
      if (auto known = replay->take(*place_))
        return *known;
    PyRef result = PyRef::steal(PyObject_Call(function_.get(), arguments, keywords));
    if (Sampling *sampling = Sampling::current(); sampling && result)
      sampling->sites.addSample(*place_, function_.get(), result.get());
    return result.release();
  }

private:
  std::shared_ptr<const CallPlace> place_;
  PyRef function_;
};

// What a copy of code has in the place of a function that is called: `ask(function)(...)`.
class Ask final : public Callback {
public:
  explicit Ask(CallPlace place) : place_(std::make_shared<CallPlace>(std::move(place))) {}

  PyObject *call(PyObject *arguments, PyObject *) override {
    PyObject *function = PyTuple_GET_ITEM(arguments, 0);
    Sampling *sampling = Sampling::current();
    if (Replay::current() || (sampling && !sampling->sites.hasSample(*place_)))
      return makeCallable(std::make_shared<AskedCall>(place_, function));
    return Py_NewRef(function);
  }

private:
  std::shared_ptr<const CallPlace> place_;
};

//===- Copies of code ------------------------------------------------------------------------===//

PyRef copyOfCode(PyFunctionObject *function) {
  PyRef places;
  auto original = PyRef::share(function->func_code);
  PyRef compiled = syntax::codeWith(function, [&](PyObject *node, int lineShift) {
    places = checked(PyObject_CallFunction(hook("wrap").get(), "Oi", node, lineShift));
  });
  const char *file =
      PyUnicode_AsUTF8(reinterpret_cast<PyCodeObject *>(original.get())->co_filename);
  PyRef asks = checked(PyList_New(0));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(places.get()); ++i) {
    CallPlace place{file ? file : ""};
    if (!PyArg_ParseTuple(PyList_GET_ITEM(places.get(), i), "iiii", &place.line, &place.column,
                          &place.endLine, &place.endColumn))
      throw PythonError();
    PyRef ask = checked(makeCallable(std::make_shared<Ask>(std::move(place))));
    checked(PyList_Append(asks.get(), ask.get()));
  }
  return checked(PyObject_CallFunctionObjArgs(hook("finish").get(), compiled.get(), original.get(),
                                              asks.get(), nullptr));
}

struct Copies {
  // By the code; null where there can be none. Both are kept alive, as the key is an address.
  std::map<PyObject *, std::pair<PyRef, PyRef>> ofCode;
  struct Swapped {
    PyRef code; // its own
    int count;
  };
  std::map<PyObject *, Swapped> swapped; // functions that run a copy now
};

// Never destroyed: the interpreter ends before C++ statics do.
Copies &copies() {
  static auto *known = new Copies;
  return *known;
}

PyObject *ownCodeOf(PyObject *function) {
  auto swapped = copies().swapped.find(function);
  return swapped == copies().swapped.end() ? PyFunction_GET_CODE(function)
                                           : swapped->second.code.get();
}

// Borrowed; null where there is none.
PyObject *copyFor(PyObject *function) {
  PendingException ofTheWalk;
  PyObject *code = ownCodeOf(function);
  auto known = copies().ofCode.find(code);
  if (known != copies().ofCode.end())
    return known->second.second.get();
  PyRef copy;
  try {
    copy = copyOfCode(reinterpret_cast<PyFunctionObject *>(function));
  } catch (const syntax::Unread &) {
  } catch (const PythonError &) {
    PyErr_Clear(); // there is no copy then
  }
  return copies()
      .ofCode.emplace(code, std::pair(PyRef::share(code), copy))
      .first->second.second.get();
}

} // namespace

TorchState::TorchState() {
  useTorchGenerator([&](at::CPUGeneratorImpl &generator) {
    engine_ = generator.engine();
    nextFloat_ = generator.next_float_normal_sample();
    nextDouble_ = generator.next_double_normal_sample();
  });
}

void TorchState::restore() const {
  useTorchGenerator([&](at::CPUGeneratorImpl &generator) {
    generator.set_engine(engine_);
    generator.set_next_float_normal_sample(nextFloat_);
    generator.set_next_double_normal_sample(nextDouble_);
  });
}

//===- Replay
//----------------------------------------------------------------------------------===//

Replay::Replay(CallLog log) : log_(std::move(log)), outer_(std::exchange(currentReplay, this)) {
  for (auto call = log_.rbegin(); call != log_.rend(); ++call)
    for (auto change = call->changes.rbegin(); change != call->changes.rend(); ++change)
      change->put(change->before);
}

Replay::~Replay() { currentReplay = outer_; }

Replay *Replay::current() { return currentReplay; }

std::optional<PyObject *> Replay::take(const CallPlace &place) {
  if (next_ == log_.size() || *log_[next_].place != place)
    return std::nullopt;
  LoggedCall &call = log_[next_++];
  for (const ValueChange &change : call.changes)
    change.put(change.now);
  for (const auto &[source, state] : call.sources)
    setStateOfSource(source.get(), state.get());
  if (call.torchState)
    call.torchState->restore();
  if (call.modes)
    at::ThreadLocalState::setThreadLocalState(*call.modes);
  if (call.result)
    return call.result.release();
  setException(call.exception);
  return nullptr;
}

Sampling::Sampling(OpaqueSites &sites)
    : sites(sites), outer_(std::exchange(currentSampling, this)) {}

Sampling::~Sampling() {
  currentSampling = outer_;
  PendingException ofTheCall;
  sites.endSampling();
}

Sampling *Sampling::current() { return currentSampling; }

//===- Functions that run copies -------------------------------------------------------------===//

Rerouted::Rerouted(const std::vector<PyRef> &functions) {
  for (const PyRef &function : functions) {
    PyObject *copy = copyFor(function.get());
    if (!copy)
      continue;
    auto [swapped, isNew] = copies().swapped.try_emplace(
        function.get(), Copies::Swapped{PyRef::share(PyFunction_GET_CODE(function.get())), 0});
    if (isNew && PyObject_SetAttrString(function.get(), "__code__", copy) < 0) {
      copies().swapped.erase(swapped);
      PyErr_WriteUnraisable(function.get());
      continue;
    }
    ++swapped->second.count;
    functions_.push_back(function);
  }
}

Rerouted::~Rerouted() {
  PendingException ofTheCall;
  for (const PyRef &function : functions_) {
    auto swapped = copies().swapped.find(function.get());
    if (--swapped->second.count > 0)
      continue;
    PyRef own = std::move(swapped->second.code);
    bool isOurs = PyFunction_GET_CODE(function.get()) == copies().ofCode.at(own.get()).second.get();
    copies().swapped.erase(swapped);
    if (isOurs && PyObject_SetAttrString(function.get(), "__code__", own.get()) < 0)
      PyErr_WriteUnraisable(function.get());
  }
}

bool Rerouted::canBe(PyObject *function) { return copyFor(function) != nullptr; }

bool Rerouted::isAny() { return !copies().swapped.empty(); }

} // namespace bifront
