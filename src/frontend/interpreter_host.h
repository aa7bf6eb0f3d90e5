// What an interpreter asks of those who make the graph, and how it tells them that a walk cannot go
// on.
#pragma once

#include "frontend/opaque_objects.h"
#include "frontend/opaque_sites.h"
#include "frontend/python_effects.h"
#include "ir/graph_recorder.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bifront {

class Recording;

// The program does something that no graph can have; CPython is to run it.
struct CannotInterpret : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A call of which nobody knows what it does. `isWanted`: a conversion may have it as an opaque one.
struct UnknownEffects : CannotInterpret {
  using CannotInterpret::CannotInterpret;
  bool isWanted = false;
};

// A function that is running where an opaque call is made.
struct LoggedFrame {
  PyRef code, globals;
  int line;
};

// How a branch or a loop becomes part of the graph where only the run knows which way it goes.
enum class Policy : uint8_t {
  Whole,     // both ways, or any number of iterations
  Loop,      // a loop too whose number of iterations Python knows, for it may end early
  PeelFirst, // a loop behind its first iteration, which is taken to happen
  PeelKnown, // a loop behind the iterations that Python knows of, and one more
  OneWay,    // the way that is foreseen
  Function,  // a Python function that calls itself: one of the graph, rather than unrolled
  Unrolled,  // after all
};
// By the node of the syntax.
struct Policies : std::map<const void *, Policy> {
  // Of the graph for their length: they are unrolled if Python has to know what differs between
  // their iterations.
  std::set<const void *> longLoops;
};

// Stands for all that the program says: Policy::OneWay where that does not wait for the end.
const void *outputSite();
// Stands for all texts of ints and bools of the graph: Policy::OneWay where a path is to know them.
const void *textSite();
// Stands for all items of lists that only the run chooses: Policy::OneWay where a path is to know
// which. A walk that has such an item notes the site.
const void *itemSite();
// Whether a failure says that such a text, or another value that waits for the end, was looked at.
bool isOfText(std::string_view failure);

// A way of a branch ends where the walk cannot leave it.
struct CannotEndHere : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The program needs a value that the ways or iterations have no common form for, or another form
// of a loop. The walk is to begin anew, with `policy` for `site`.
struct CannotFork : std::runtime_error {
  CannotFork(const void *site, Policy policy, const std::string &message)
      : std::runtime_error(message), site(site), policy(policy) {}
  const void *site;
  Policy policy;
};

// Unrolled, the loop would make a large graph.
struct LongLoop : CannotFork {
  explicit LongLoop(const void *site) : CannotFork(site, Policy::Loop, "a loop is long") {}
};

struct WrittenOperand;

// What the interpreter asks of those who make the graph.
struct InterpreterHost {
  Recording *recording = nullptr;
  // Hears why a branch or a loop goes one way; may be empty.
  std::function<void(const std::string &)> note = {};
  // Null: all branches and loops go the one way that is foreseen. The interpreter adds to them.
  Policies *policies = nullptr;
  bool unrollsAll = true; // loops of any length, where LongLoop is thrown else
  // The places that a Python function (or object) reaches when CPython runs it, for
  // PythonLog::readPlaces.
  std::function<PyRef(PyObject *function, PyObject *arguments)> reachable;
  // Calls `call`, which runs Python code that is not walked. Null when values at `places` have
  // changed by it; they are put back.
  std::function<PyRef(PyObject *places, const std::function<PyRef()> &call)> unchanged;
  // A proxy for a value that varies from call to call, and the graph's input; nothing for others.
  std::function<std::optional<std::pair<PyRef, uint32_t>>(const Slot &slot, PyObject *value)>
      inputFor;
  // Whether a copy is in the place of a container or an object from before the call, and whether
  // this is such a copy: it differs from call to call, and is compared and written like the
  // original.
  std::function<bool(PyObject *object)> isReplaced, isCopy;
  // What a tensor or a number of the graph will be in this call, for a trial of what is given it;
  // null where nobody can tell. May be empty.
  std::function<PyRef(ValueId value)> exampleOf = {};
  // Null: no calls are opaque but those that can be taken back.
  OpaqueSites *sites = nullptr;
  // How many numbers of the graph Python has had to know so far, each of which decides the path.
  std::function<size_t()> numDecided = {};
  // Whether CPython can be made to ask a log before each call of the function's code.
  std::function<bool(PyObject *function)> reroutes = {};
  // What makes the calls of a site in a run, given what is called and its arguments. `frames`: from
  // the innermost; `grad`: whether gradients are recorded there.
  std::function<PyRef(const CallPlace &, const OpaqueSite &, std::vector<LoggedFrame> frames,
                      bool grad)>
      logged = {};
  // What writes an attribute in a run, given the object, the name and the value, which it gives
  // back; null where runs write none.
  PyObject *attributeWriter = nullptr;
  // What calls a function, given it and its arguments, as though code in these frames did.
  std::function<PyRef(const std::vector<LoggedFrame> &frames)> calledFrom = {};
  // A callable that is given what a C function is, which writes to that array: a run keeps what is
  // there before.
  std::function<PyRef(PyObject *function, const WrittenOperand &)> writer = {};
  // Callables that a run is given: one stops it where an array lies in memory that the graph
  // writes; another reads a slot that opaque calls change.
  std::function<PyRef()> apart = {};
  std::function<PyRef(const Slot &slot)> slotReader = {};
  // Of what CPython reaches from these objects when their code runs: a set of the addresses, and
  // the tensors among them.
  std::function<PyRef(PyObject *objects)> reachedByCall = {};
};

} // namespace bifront
