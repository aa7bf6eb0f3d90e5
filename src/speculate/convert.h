// One conversion: capture the function on proxies, run the passes, compile, and bind the inputs.
#pragma once

#include "frontend/interpreter_host.h"
#include "speculate/asked_sizes.h"
#include "speculate/converted_function.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace bifront {

struct ConversionError : std::runtime_error {
  ConversionError(ExitReason reason, const std::string &message, Varying needed = {},
                  bool raised = false, std::string location = {},
                  std::optional<AskedSizes> question = {})
      : std::runtime_error(message), reason(reason), needed(std::move(needed)), raised(raised),
        location(std::move(location)), question(std::move(question)) {}
  ExitReason reason;
  Varying needed;       // values that would have to be constants
  bool raised;          // the program raises an exception of its own, which the next call may not
  std::string location; // "file:line", where that is known
  // Of what is needed of sizes it may do to know the answer to this.
  std::optional<AskedSizes> question;
  Varying changes = {}; // that have to be inputs, as the call changes them
  Varying unused = {};  // inputs that it does without
  bool isOfInputs() const { return !changes.empty() || !unused.empty(); }
  // Another conversion may have an opaque call where this one stood before unknown effects.
  bool wantsCall = false;
};

[[noreturn]] inline void fail(ExitReason reason, const std::string &message) {
  throw ConversionError(reason, message);
}

struct ConversionRequest {
  PyObject *function;
  PyObject *const *args;
  size_t count; // positional arguments; keyword arguments follow in `args`
  PyObject *keywordNames;
  size_t total() const { return count + (keywordNames ? PyTuple_GET_SIZE(keywordNames) : 0); }
  const ConversionOptions &options;
  Varying varying;                   // what becomes an input of the graph, or a dynamic dimension
  std::shared_ptr<Choices> choices;  // that conversions have met
  Varying decided;                   // dimensions among it of which Python knows the size
  std::vector<AskedSizes> questions; // about the others, which are answered first
  bool mayPinSizes = false;          // these may leave a single size
  // Where numbers that the call itself changes are to be inputs: those that are constants all the
  // same.
  std::optional<Varying> changing;
  const std::vector<Path> &paths; // of earlier calls
  // Whether the path depends on arguments, from its start on.
  bool decides() const {
    return !decided.empty() || !varying.choices.empty() || varying.hasSmall() || !questions.empty();
  }
  bool forks; // both ways of branches that depend on tensors, where they can be one graph
  bool assumesInBranches; // or branches with assumptions in them decide the path
  OpaqueSites *sites = nullptr;
  // Of the function, for other objects among the arguments.
  std::vector<std::shared_ptr<const ConvertedGraph>> ofOthers = {};
  LaterCompiler *later = nullptr; // where another thread is to compile
  Policies policies = {};         // that the branches of the function are known to need
  bool unrollsAll = false;        // loops of any length
  bool asksPinned =
      false; // a single size that questions leave is asked for, as others leave several
};

// Of what varies: objects of which the graph would know the class alone.
Varying pointersOf(const ConversionRequest &request);

// Throws ConversionError, or CompilesLater, after which the program's state is as it was. An
// exception that the user's own code raised during capture is a ConversionError too: CPython raises
// it again.
std::shared_ptr<const ConvertedGraph> convert(const ConversionRequest &request);

// Python functions that reroute torch.autograd to capture while a function is captured, and one
// that finds the places with Python values that a function can reach.
struct CaptureHooks {
  PyObject *enter, *exit;                 // around a capture
  PyObject *reachable;                    // (function, arguments) to places
  PyObject *randomStates, *restoreRandom; // of generators that are not torch's
};
void setCaptureHooks(const CaptureHooks &hooks);

struct GraphRun {
  enum class Status : uint8_t { Done, Interrupted, Raised, AssertionFailed } status = Status::Done;
  PyObject *result = nullptr; // Done: a new reference
  std::string message, location = {};
};

class OpaqueRun;

// Runs a graph whose prechecks hold for `leaves`.
GraphRun runGraph(const ConvertedGraph &graph, PyObject *const *leaves, OpaqueRun &opaque);

} // namespace bifront
