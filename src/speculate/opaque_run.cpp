#include "speculate/opaque_run.h"

#include "frontend/numpy_data.h"
#include "frontend/private_values.h"
#include "frontend/python_error.h"
#include "frontend/random_sources.h"
#include "speculate/converted_graph.h"
#include "support/gil.h"
#include "support/pending_exception.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>

namespace bifront {

namespace {

using ByteRange = std::pair<const char *, const char *>; // from the first byte to behind the last

bool overlap(const ByteRange &one, const ByteRange &other) {
  return one.first < other.second && other.first < one.second;
}

ByteRange extentOf(const at::Tensor &tensor) {
  if (!tensor.has_storage())
    return {nullptr, nullptr};
  const auto &storage = tensor.storage();
  auto *begin = static_cast<const char *>(storage.data());
  return {begin, begin + storage.nbytes()};
}

ByteRange extentOf(PyObject *array) {
  Py_buffer buffer;
  if (PyObject_GetBuffer(array, &buffer, PyBUF_STRIDES) < 0)
    throw PythonError();
  auto *begin = static_cast<const char *>(buffer.buf), *end = begin + buffer.itemsize;
  bool isEmpty = buffer.len == 0;
  for (int d = 0; d < buffer.ndim && !isEmpty; ++d) {
    Py_ssize_t last = buffer.strides[d] * (buffer.shape[d] - 1);
    (last < 0 ? begin : end) += last;
  }
  PyBuffer_Release(&buffer);
  return {begin, isEmpty ? begin : end};
}

bool isReadOnly(PyObject *array) {
  PyRef flags = checked(PyObject_GetAttrString(array, "flags"));
  return checked(PyObject_GetAttrString(flags.get(), "writeable")).get() == Py_False;
}

uint32_t firstInput(const ConvertedGraph &graph) { return graph.seat ? graph.seat->firstInput : 0; }

// The bytes of an array that lie side by side; where they do not, or the array gives none, no one
// sees them.
class PlainBytes {
public:
  explicit PlainBytes(PyObject *array) {
    if (PyObject_GetBuffer(array, &buffer_, PyBUF_C_CONTIGUOUS) < 0)
      PyErr_Clear();
  }
  ~PlainBytes() { PyBuffer_Release(&buffer_); }
  PlainBytes(const PlainBytes &) = delete;
  bool areThere() const { return buffer_.obj; }
  bool operator==(const PlainBytes &other) const {
    size_t size = buffer_.len;
    return buffer_.len == other.buffer_.len &&
           (size == 0 || std::memcmp(buffer_.buf, other.buffer_.buf, size) == 0);
  }

private:
  Py_buffer buffer_{};
};

// Of an array and a copy of it, bit for bit.
bool sameContents(PyObject *array, PyObject *copy) {
  if (PlainBytes now(array), then(copy); now.areThere() && then.areThere())
    return now == then;
  PyRef bytes = checked(PyObject_CallMethod(array, "tobytes", nullptr));
  PyRef before = checked(PyObject_CallMethod(copy, "tobytes", nullptr));
  return PyObject_RichCompareBool(bytes.get(), before.get(), Py_EQ) == 1;
}

} // namespace

static thread_local OpaqueRun *currentRun = nullptr;

OpaqueRun::OpaqueRun(bool needed) : isCurrent_(needed) {
  if (isCurrent_)
    outer_ = std::exchange(currentRun, this);
}

OpaqueRun::~OpaqueRun() {
  if (isCurrent_)
    currentRun = outer_;
  if (!sources_.empty() || !arrays_.empty() || !held_.empty() || written_.any() || graph_) {
    Gil gil;
    arrays_.clear();
    log_.clear();
    watched_.clear();
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

void OpaqueRun::beginWith(const ConvertedGraph &graph, std::span<const c10::IValue> inputs) {
  running_ = &graph;
  given_ = inputs;
}

// Whether the graph writes to a tensor that has some of these bytes.
bool OpaqueRun::writesIn(const char *begin, const char *end) const {
  auto isThere = [&](uint32_t written) {
    return overlap({begin, end}, extentOf(given_[firstInput(*running_) + written].toTensor()));
  };
  return running_ && std::ranges::any_of(running_->writtenInputs, isThere);
}

void OpaqueRun::keepApart(PyObject *array) const {
  if (!running_ || !isNumpyArray(array))
    return;
  auto [begin, end] = extentOf(array);
  if (writesIn(begin, end))
    throw std::runtime_error("a tensor is written that an array shares its memory with");
}

void OpaqueRun::noteShared(const at::Tensor &tensor) {
  auto [begin, end] = extentOf(tensor);
  if (writesIn(begin, end))
    throw std::runtime_error("a tensor is written that lies in the memory of an array");
  ofArrays_.push_back(tensor);
}

// Of a watched array, which it is from now on.
void OpaqueRun::countRefs(PyObject *array, Py_ssize_t more) {
  auto known = std::find_if(watched_.begin(), watched_.end(),
                            [&](const Watched &watched) { return watched.array.get() == array; });
  if (known == watched_.end())
    known = watched_.insert(known, {PyRef::share(array), {}, 1});
  known->refs += more;
}

void OpaqueRun::noteMade(PyObject *object) {
  if (graph_ && (PyList_CheckExact(object) || PyTuple_CheckExact(object)))
    newContainers_.push_back(object);
}

void OpaqueRun::noteGiven(PyObject *object) {
  if (ownContainers_.erase(object) == 0)
    return;
  newContainers_.push_back(object);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object); ++i)
    if (PyObject *item = PySequence_Fast_GET_ITEM(object, i); isNumpyArray(item))
      countRefs(item, -1);
}

// What a container has that nobody but the run has is no more somebody else's for that.
void OpaqueRun::countContainers() {
  constexpr Py_ssize_t kOfTheRun = 2;
  auto countItems = [&](PyObject *container) {
    for (Watched &watched : watched_)
      for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(container); ++i)
        watched.refs += PySequence_Fast_GET_ITEM(container, i) == watched.array.get() ? 1 : 0;
    ownContainers_.insert(container);
  };
  std::erase_if(newContainers_, [&](PyObject *container) {
    if (Py_REFCNT(container) != kOfTheRun)
      return false;
    countItems(container);
    return true;
  });
}

void OpaqueRun::keepArray(PyObject *array) {
  if (isReadOnly(array))
    return; // numpy says so
  ByteRange extent = extentOf(array);
  auto refuse = [&](const at::Tensor &tensor) {
    if (overlap(extent, extentOf(tensor)))
      throw std::runtime_error("an array is written that a tensor shares its memory with");
  };
  for (const at::Tensor &tensor : ofArrays_)
    refuse(tensor);
  for (const Watched &watched : watched_) // whose order with the calls' own writes would be lost
    if (overlap(extent, extentOf(watched.array.get())))
      throw std::runtime_error("an array is written that an opaque call may change");
  bool isKept = std::any_of(arrays_.begin(), arrays_.end(),
                            [&](const auto &kept) { return kept.first.get() == array; });
  if (isKept)
    return;
  for (const c10::IValue &input : given_)
    if (input.isTensor() && input.toTensor().defined())
      refuse(input.toTensor());
  arrays_.emplace_back(PyRef::share(array), checked(PyObject_CallMethod(array, "copy", nullptr)));
}

// The last comes first: two sources may share their state, and two arrays their memory.
void OpaqueRun::restore() {
  if (sources_.empty() && arrays_.empty() && !written_.any())
    return;
  Gil gil;
  written_.clear(); // CPython runs next, and reads what is there
  PendingException ofTheRun;
  for (auto kept = arrays_.rbegin(); kept != arrays_.rend(); ++kept)
    if (PyObject *copyTo = ofModule("numpy", "copyto");
        !copyTo || !PyRef::steal(PyObject_CallFunctionObjArgs(copyTo, kept->first.get(),
                                                              kept->second.get(), nullptr)))
      PyErr_WriteUnraisable(kept->first.get());
  arrays_.clear();
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

//===- What calls change where the program reads it ----------------------------------------===//

std::vector<PyRef> OpaqueRun::valuesOfSlots() const {
  std::vector<PyRef> values;
  for (const Slot &slot : graph_->changedSlots)
    values.push_back(valueIn(slot));
  return values;
}

// What is in the arrays that a call may change: those in the slots, and those that have been there
// and are still somebody else's.
void OpaqueRun::readWatched() {
  countContainers();
  std::erase_if(watched_, [](const Watched &watched) {
    return watched.contents && Py_REFCNT(watched.array.get()) == watched.refs;
  });
  for (const PyRef &value : valuesOfSlots())
    if (value && isNumpyArray(value.get()))
      countRefs(value.get(), 0);
  for (Watched &watched : watched_) {
    for (const auto &[written, before] : arrays_)
      if (overlap(extentOf(written.get()), extentOf(watched.array.get())))
        throw std::runtime_error("an opaque call may change an array that has been written");
    if (!watched.contents || !sameContents(watched.array.get(), watched.contents.get()))
      watched.contents = checked(PyObject_CallMethod(watched.array.get(), "copy", nullptr));
  }
}

// False where the program may see a change that the graph does not.
bool OpaqueRun::addChanges(const std::vector<PyRef> &slots, std::vector<ValueChange> &changes) {
  std::vector<PyRef> now = valuesOfSlots();
  for (size_t i = 0; i < slots.size(); ++i)
    if (now[i].get() != slots[i].get()) {
      changes.push_back({graph_->changedSlots[i], false, slots[i], now[i]});
      for (const PyRef &value : {slots[i], now[i]})
        if (value && isNumpyArray(value.get()))
          countRefs(value.get(), 1);
    }
  bool isUnseen = true;
  for (Watched &watched : watched_) {
    if (!watched.contents || sameContents(watched.array.get(), watched.contents.get()))
      continue;
    for (const at::Tensor &tensor : ofArrays_)
      isUnseen = isUnseen && !overlap(extentOf(watched.array.get()), extentOf(tensor));
    PyRef contents = checked(PyObject_CallMethod(watched.array.get(), "copy", nullptr));
    changes.push_back({{Slot::Kind::Length, watched.array, {}},
                       true,
                       std::exchange(watched.contents, contents),
                       contents});
    ++watched.refs; // by that
  }
  return isUnseen;
}

bool OpaqueRun::noteChanges(OpaqueSites &sites) const {
  for (const LoggedCall &call : log_)
    for (const ValueChange &change : call.changes)
      if (!change.isContainer)
        sites.noteChanged(change.slot);
  return sites.takeNew();
}

//===- Calls that are made and logged ------------------------------------------------------===//

PyObject *OpaqueRun::make(const std::shared_ptr<const CallPlace> &place, bool grad,
                          const std::function<PyRef()> &call) {
  LoggedCall logged{place, {}, {}};
  readWatched();
  std::vector<PyRef> slots = valuesOfSlots();
  {
    at::ThreadLocalStateGuard theProgram(*modes_);
    c10::AutoGradMode atTheCall(grad);
    GlobalModes before = GlobalModes::now();
    logged.result = call();
    if (!logged.result)
      logged.exception = takeException();
    if (GlobalModes::now() != before)
      logged.modes.emplace();
  }
  for (const auto &[source, state] : sources_)
    logged.sources.emplace_back(source, stateOfSource(source.get()));
  if (graph_->drawsRandomNumbers)
    logged.torchState = std::make_shared<const TorchState>();
  bool isSame = graph_->guards.hold();
  std::vector<PyRef> inputs = graph_->guards.inputValues();
  for (size_t i = 0; i < inputs.size(); ++i)
    isSame = isSame && inputs[i].get() == inputs_[i].get();
  if (!isSame)
    logged.changes = graph_->guards.changes(inputs_);
  isSame = addChanges(slots, logged.changes) && isSame;
  bool mayGoOn = isSame && !logged.modes;
  bool isNobodyElses = !logged.result || isPrivate(logged.result.get(), 1);
  PyRef result = logged.result, exception = logged.exception;
  log_.push_back(std::move(logged));
  if (exception) {
    setException(exception);
    return nullptr;
  }
  if (!mayGoOn)
    return stop("an opaque call has changed what the graph has read");
  if (!isNobodyElses)
    return stop("an opaque call has returned what others may change");
  return result.release();
}

} // namespace bifront
