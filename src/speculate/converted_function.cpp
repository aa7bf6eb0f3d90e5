#include "speculate/converted_function.h"

#include "speculate/convert.h"
#include "speculate/random_state.h"
#include "support/options.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace bifront {
namespace {

// Enough for most calls without an allocation.
class LeafBuffer {
public:
  PyObject **cleared(size_t count) {
    if (count > std::size(inline_))
      heap_.assign(count, nullptr);
    else
      std::fill_n(inline_, count, nullptr);
    return count > std::size(inline_) ? heap_.data() : inline_;
  }

private:
  PyObject *inline_[16];
  std::vector<PyObject *> heap_;
};

bool ordinaryArguments(PyObject *const *args, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (THPVariable_Check(args[i]) &&
        (!THPVariable_CheckExact(args[i]) || !isOrdinaryTensor(THPVariable_Unpack(args[i]))))
      return false;
  return true;
}

std::string utf8Of(PyObject *object) {
  const char *text = object && PyUnicode_Check(object) ? PyUnicode_AsUTF8(object) : nullptr;
  return text ? text : "?";
}

// "step (train.py:12)"; callables without code are known by their name alone, or by their type's.
std::string placeOf(PyObject *function) {
  auto attribute = [](PyObject *object, const char *name) {
    PyRef value = PyRef::steal(object ? PyObject_GetAttrString(object, name) : nullptr);
    PyErr_Clear(); // an attribute that is not there is not an error
    return value;
  };
  PyRef name = attribute(function, "__qualname__"), code = attribute(function, "__code__");
  std::string place = name.get() ? utf8Of(name.get()) : Py_TYPE(function)->tp_name;
  PyRef file = attribute(code.get(), "co_filename"), line = attribute(code.get(), "co_firstlineno");
  if (file.get() && line.get())
    place += " (" + utf8Of(file.get()) + ":" + std::to_string(PyLong_AsLong(line.get())) + ")";
  return place;
}

} // namespace

ConvertedFunction::ConvertedFunction(PyObject *function, ConversionOptions options)
    : function_(PyRef::share(function)), options_(std::move(options)) {}

PyObject *ConvertedFunction::callPython(PyObject *const *args, size_t count,
                                        PyObject *keywordNames) {
  return PyObject_Vectorcall(function_.get(), args, count, keywordNames);
}

void ConvertedFunction::log(const std::string &what) const {
  if (options().log) // one write, so that lines of several threads stay whole
    std::cerr << "bifront: " + placeOf(function_.get()) + ": " + what + "\n" << std::flush;
}

void ConvertedFunction::count(ExitReason reason, const std::string &message) {
  ++stats_.exits[static_cast<size_t>(reason)];
  if (!message.empty())
    stats_.lastError = message;
  if (options().log) {
    const ExitReasonText &text = textOf(reason);
    log(std::string(text.code) + " " + std::string(text.sentence) +
        (message.empty() ? "" : " " + message));
  }
}

PyObject *ConvertedFunction::fallBack(ExitReason reason, PyObject *const *args, size_t count,
                                      PyObject *keywordNames, const std::string &message) {
  this->count(reason, message);
  ++stats_.fallbackCalls;
  return callPython(args, count, keywordNames);
}

PyObject *ConvertedFunction::call(PyObject *const *args, size_t count, PyObject *keywordNames) {
  ++stats_.calls;
  if (!options().enabled) {
    ++stats_.fallbackCalls;
    return callPython(args, count, keywordNames);
  }
  if (stats_.profiledCalls < static_cast<uint64_t>(options_.profileCalls)) {
    ++stats_.profiledCalls;
    return callPython(args, count, keywordNames);
  }
  if (foreignModeActive())
    return fallBack(ExitReason::ForeignMode, args, count, keywordNames);

  if (wastesRuns())
    return fallBack(ExitReason::TooManyWays, args, count, keywordNames);

  LeafBuffer buffer;
  Misfits misfits;
  GraphRefusal &refusal = misfits.refusal;
  for (size_t i = 0; i < graphs_.size(); ++i) {
    auto graph = graphs_[i]; // keeps it alive when another thread replaces it
    PyObject **leaves = buffer.cleared(graph->numLeaves);
    auto refused = graph->refuses(args, count, keywordNames, leaves);
    if (!refused) {
      if (auto result = run(*graph, leaves, args, count, keywordNames)) {
        if (!misfits.wrong.empty())
          preferGraph(graph);
        return *result;
      }
      misfits.wrong.push_back(graph);
      continue;
    }
    if (i == 0 || !refused->relax.empty())
      refusal = std::move(*refused);
  }
  size_t total = count + (keywordNames ? PyTuple_GET_SIZE(keywordNames) : 0);
  if (!misfits.wrong.empty())
    refusal = {}; // the tensors were as expected, and what is in them was not
  else if (!graphs_.empty())
    this->count(refusal.reason);
  if (!ordinaryArguments(args, total))
    return fallBack(ExitReason::UnsupportedTensor, args, count, keywordNames);
  if (refusal.reason == ExitReason::Aliasing) { // every such graph would be refused again
    ++stats_.fallbackCalls;
    return callPython(args, count, keywordNames);
  }
  if (!mayConvert())
    return fallBack(ExitReason::CaptureFailed, args, count, keywordNames);
  if (static_cast<int64_t>(stats_.conversions) >= options_.maxGraphs)
    return fallBack(ExitReason::TooManyGraphs, args, count, keywordNames);
  if (misfits.wrong.empty() && refusal.relax.empty() && options_.walked)
    misfits.narrow = learnVarying(args, count, keywordNames);
  return runNew(args, count, keywordNames, misfits);
}

ConvertedFunction::Graphs ConvertedFunction::learnVarying(PyObject *const *args, size_t count,
                                                          PyObject *keywordNames) {
  Graphs narrow;
  for (const auto &graph : graphs_) {
    auto varying = graph->varying(args, count, keywordNames);
    if (!varying)
      continue;
    varying->remove(constants_);
    if (varying_.add(*varying))
      narrow.push_back(graph);
  }
  return narrow;
}

PyObject *ConvertedFunction::runNew(PyObject *const *args, size_t count, PyObject *keywordNames,
                                    const Misfits &misfits) {
  auto graph = convert(args, count, keywordNames, misfits);
  if (PyErr_Occurred())
    return nullptr;
  if (graph) {
    LeafBuffer buffer;
    PyObject **leaves = buffer.cleared(graph->numLeaves);
    if (auto refused = graph->refuses(args, count, keywordNames, leaves))
      return fallBack(refused->reason, args, count, keywordNames);
    if (auto result = run(*graph, leaves, args, count, keywordNames))
      return *result;
  }
  ++stats_.fallbackCalls;
  return callPython(args, count, keywordNames);
}

void ConvertedFunction::learnPaths(const ConvertedGraph &graph) {
  constexpr size_t kMostPaths = 16;
  std::vector<Path> paths = graph.paths;
  std::erase_if(paths, [](const Path &path) { return path.empty(); });
  for (Path &path : paths_)
    if (std::find(paths.begin(), paths.end(), path) == paths.end())
      paths.push_back(std::move(path));
  if (paths.size() > kMostPaths)
    paths.resize(kMostPaths);
  paths_ = std::move(paths);
}

// Calls that follow each other often go the same way.
void ConvertedFunction::preferGraph(const std::shared_ptr<const ConvertedGraph> &graph) {
  auto found = std::find(graphs_.begin(), graphs_.end(), graph);
  if (found != graphs_.end())
    std::rotate(graphs_.begin(), found, found + 1);
}

bool ConvertedFunction::wastesRuns() {
  constexpr uint64_t kPatience = 64;
  return wastedRuns_ > kPatience && wastedRuns_ > stats_.graphCalls;
}

std::shared_ptr<const ConvertedGraph>
ConvertedFunction::convertVarying(const ConversionRequest &request) {
  try {
    return bifront::convert(request);
  } catch (const ConversionError &error) {
    if (varying_.empty())
      throw;
    // An input may be what stands in the way: a number that the program needs to know.
    Varying before = varying_, constantsBefore = constants_;
    const Varying &needed = error.needed.empty() ? before : error.needed;
    log(std::string("numbers that vary become constants: ") + error.what());
    constants_.add(needed);
    varying_.remove(needed);
    try {
      return convertVarying(request);
    } catch (const ConversionError &) {
      varying_ = std::move(before);
      constants_ = std::move(constantsBefore);
      throw;
    }
  }
}

std::shared_ptr<const ConvertedGraph> ConvertedFunction::convert(PyObject *const *args,
                                                                 size_t count,
                                                                 PyObject *keywordNames,
                                                                 const Misfits &misfits) {
  if (converting_.exchange(
          true)) // another thread, or the function calling itself while it is captured
    return nullptr;
  struct Reset {
    std::atomic<bool> &flag;
    ~Reset() { flag = false; }
  } reset{converting_};
  auto start = std::chrono::steady_clock::now();
  std::shared_ptr<const ConvertedGraph> graph;
  try {
    ++stats_.conversions;
    const GraphRefusal &refusal = misfits.refusal;
    bool varies = stats_.exits[static_cast<size_t>(ExitReason::AssertionFailed)] > 0 ||
                  !refusal.relax.empty() || !options_.dynamic.empty() || !varying_.empty();
    graph = convertVarying({function_.get(), args, count, keywordNames, options_, refusal.relax,
                            varying_, paths_, options_.walked && varies});
    auto isAmong = [](const Graphs &graphs, const auto &graph) {
      return std::find(graphs.begin(), graphs.end(), graph) != graphs.end();
    };
    std::erase_if(graphs_, [&](const auto &old) { return isAmong(misfits.narrow, old); });
    // With both ways of a branch it serves the calls of a graph that had one.
    if (graph->forks)
      std::erase_if(graphs_, [&](const auto &old) {
        return (!old->forks || graph->ends.size() > 1) && isAmong(misfits.wrong, old);
      });
    learnPaths(*graph);
    // A graph whose dimensions were relaxed replaces the one that was too narrow.
    if (!refusal.relax.empty())
      std::erase_if(graphs_, [&](const auto &old) {
        return old->arguments.size() == graph->arguments.size() &&
               old->numLeaves == graph->numLeaves;
      });
    graphs_.insert(graphs_.begin(), graph);
    stats_.captureCost.ops += graph->captureCost.ops;
    stats_.captureCost.seconds += graph->captureCost.seconds;
  } catch (const ConversionError &error) {
    this->count(error.reason, error.what());
    if (error.raised) // the next call may not
      return nullptr;
    ++failedAttempts_;
    nextAttempt_ = stats_.calls + (uint64_t{2} << failedAttempts_);
  }
  std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  stats_.conversionSeconds += spent.count();
  if (graph && options().log) {
    std::ostringstream line;
    line << "converted in " << std::fixed << std::setprecision(3) << spent.count() << " s, "
         << graphs_.size() << " graph(s)";
    log(line.str());
  }
  return graph;
}

std::optional<PyObject *> ConvertedFunction::run(const ConvertedGraph &graph, PyObject **leaves,
                                                 PyObject *const *args, size_t count,
                                                 PyObject *keywordNames) {
  RandomState random(graph.drawsRandomNumbers);
  GraphRun outcome = runGraph(graph, leaves);
  switch (outcome.status) {
  case GraphRun::Status::Done: ++stats_.graphCalls; return outcome.result;
  case GraphRun::Status::Interrupted: // the exception is set, nothing was written
    random.restore();
    return nullptr;
  case GraphRun::Status::Raised:
    random.restore();
    return fallBack(ExitReason::GraphRaised, args, count, keywordNames, outcome.message);
  case GraphRun::Status::AssertionFailed:
    random.restore();
    ++wastedRuns_;
    this->count(ExitReason::AssertionFailed, outcome.message);
    return std::nullopt;
  }
  return nullptr;
}

int ConvertedFunction::traverse(visitproc visit, void *arg) {
  Py_VISIT(function_.get());
  for (const auto &graph : graphs_)
    if (graph.use_count() == 1) // no other owner's references are ours to count
      if (int stop = graph->traverse(visit, arg))
        return stop;
  for (const Varying *values : {&varying_, &constants_})
    for (const Slot &slot : values->slots) {
      Py_VISIT(slot.object.get());
      Py_VISIT(slot.key.get());
    }
  return 0;
}

} // namespace bifront
