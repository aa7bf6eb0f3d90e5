// A Python function that calls itself becomes one of the graph. It is walked until three things
// agree with what its own calls of itself take them to be: what varies among its arguments, what
// it gives back, and the objects that its arguments have been seen to be.
#pragma once

#include "capture/modes.h"
#include "frontend/interpreter.h"
#include "frontend/merge.h"

#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace bifront {

// What the function's call of itself gives is not known yet. The way that leads there is left out
// of this walk: what the others give says what form a result has.
struct Interpreter::ResultPending : CannotFork {
  explicit ResultPending(const void *site)
      : CannotFork(site, Policy::Unrolled, "a function calls itself on all of its ways") {}
};

class Interpreter::FunctionWalk {
public:
  FunctionWalk(Interpreter &interpreter, PythonFrame &frame);

  // The outermost call. Throws where it cannot be a function of the graph; then nothing has
  // happened.
  PyRef run();
  // A call from inside; `frame` is bound.
  PyRef callItself(PythonFrame &frame);
  // Another outermost call, where nothing has changed since that the function may depend on;
  // nothing where it is to be walked for that call.
  std::optional<PyRef> callAgain(const PythonFrame &frame);

  PyObject *function() const { return function_.get(); }
  const void *site() const { return site_; }
  // A way was left out, for the calls that are known do not take it.
  void noteWayLeftOut() { leavesOut_ = true; }
  // The iterations of a loop were left out: they call the function, of whose result nothing is
  // known. What fails behind it may be for that.
  void noteLoopLeftOut() { ++loopsLeftOut_; }
  int loopsLeftOut() const { return loopsLeftOut_; }

private:
  struct ArgumentsVary; // otherwise than the walk has it

  std::vector<PyRef> parametersOf(const PythonFrame &frame) const;
  std::optional<std::vector<ValueId>> operandsFor(const std::vector<PyRef> &arguments,
                                                  const std::vector<PyRef> &contents);
  void setParameter(size_t i, const PyRef &value);
  Way walkBody();
  PyRef valueOfBody();
  bool hasBase() const { return results_ != nullptr; }
  // What the program does to a list that the calls have in common: each is given what is in it,
  // and gives what it leaves there.
  struct Place {
    PythonLog::Change change; // with what the outermost call finds
    PyRef inner;              // what one from inside finds
    PyRef base;               // what a way without a call of itself leaves
    Merge::Index given = 0, left = 0;
  };
  bool findPlaces(const Way &way);
  const PythonLog::Change *changeAt(const Way &way, const Place &place) const;
  using Ends = std::vector<std::pair<Merge::Index, PyObject *>>;
  std::vector<PyRef> contentsOfPlaces() const;
  void leave(std::vector<ValueId> results);
  bool changesOnlyPlaces() const;
  bool settles(Way &way);
  void startLanes();
  bool growLanes();
  bool isObject(size_t operand) const;
  PyRef finish(Way &way);

  Interpreter &interpreter_;
  PythonFrame &frame_; // of the outermost call, while it runs
  PyRef function_;
  const void *site_;
  GraphRecorder &graph_;
  PythonLog::Mark before_;
  std::string name_;
  std::vector<PyRef> outer_, inner_; // arguments of the outermost call, and of one from inside
  std::vector<PyRef> slots_;         // as they were bound
  std::unique_ptr<Merge> parameters_, results_;
  std::vector<Merge::Index> values_; // of the parameters
  Merge::Index result_ = 0;
  std::vector<Place> places_;
  std::vector<ValueId> start_;           // what varies of the outermost call's arguments
  std::vector<ValueId> parameterValues_; // the same, of any call's
  std::vector<ValueId> returns_;         // of the body
  std::deque<Activation> activations_;
  // Its calls of itself in this walk: when they are made, and with what.
  struct CallSite {
    LanePath path;
    std::vector<Example> operands;
  };
  std::vector<CallSite> sites_;
  int bodyDepth_ = 0;
  PyRef base_; // what a way without a call of itself gives
  bool leavesOut_ = false;
  int loopsLeftOut_ = 0;
  Looks looks_; // of the body, at the memory of arrays
  // When the function was defined.
  PythonLog::Mark definedAt_;
  GlobalModes modes_ = GlobalModes::now();
};

} // namespace bifront
