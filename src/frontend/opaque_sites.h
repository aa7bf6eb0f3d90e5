// Calls of the program that have effects of which nothing is known: a run of the graph makes them
// where the program makes them, once, and logs what they return. Which calls these are a function's
// conversions find out one after the other; what they return, CPython's run shows in between.
#pragma once

#include "frontend/python_effects.h"
#include "support/py_ref.h"

#include <compare>
#include <map>
#include <string>
#include <vector>

namespace bifront {

// A call expression of the program, by where it stands in its file.
struct CallPlace {
  std::string file;
  int line = 0, column = 0, endLine = 0, endColumn = 0;
  auto operator<=>(const CallPlace &) const = default;
};

struct OpaqueSite {
  std::string callee; // what is called there
  PyRef sample;       // of what it returns
  // The functions whose code has the call in it, or in a function that is nested there.
  std::vector<PyRef> functions = {};
  std::string refusal = {}; // why it can be none after all
  // It can be walked as well, to as many paths as there are calls.
  bool isWalkable = false;
};

// The GIL guards it.
class OpaqueSites {
public:
  // Null where the call is walked.
  OpaqueSite *find(const CallPlace &place);
  // No conversion can do without that call being opaque, as it seems, or (`isWalkable`) had better
  // not. False where it has been refused, or nobody can tell what it returns.
  bool want(const CallPlace &place, const std::string &callee, PyObject *function,
            bool isWalkable = false);
  void refuse(OpaqueSite &site, const std::string &why);
  // No conversion can do with what it could do without. False where there is no such call.
  bool refuseWalkable(const std::string &why);
  // A function that calls the one with the call that was wanted last, which may be opaque instead.
  void sampleToo(PyObject *function) { around_.push_back(PyRef::share(function)); }
  // Whether there are more since the last time, which the next conversion will have.
  bool takeNew() { return std::exchange(hasNew_, false); }
  bool hasNew() const { return hasNew_; }
  bool isEmpty() const { return sites_.empty(); }
  // Whether CPython's next run is to show what calls return, and of which functions.
  bool needsSamples() const { return !unknown_.empty(); }
  std::vector<PyRef> functionsToSample() const;
  // With the code of all sites.
  std::vector<PyRef> functions() const;
  bool hasSample(const CallPlace &place) const {
    auto found = samples_.find(place);
    return found != samples_.end() && found->second.result;
  }
  // The first result of a call there that can be one.
  void addSample(const CallPlace &place, PyObject *callee, PyObject *result);
  void endSampling();
  // Slots that opaque calls have been seen to change, or whose arrays they may: they are read in
  // the run.
  void noteChanged(const Slot &slot);
  bool isChanged(const Slot &slot) const;
  const std::vector<Slot> &changedSlots() const { return changed_; }
  int traverse(visitproc visit, void *arg) const;

private:
  struct Sample {
    std::string callee;
    PyRef result; // null where such an object is no sample
  };
  struct Unknown {
    std::string callee;
    PyRef function;
    bool isWalkable;
  };
  std::map<CallPlace, OpaqueSite> sites_;
  std::map<CallPlace, Sample> samples_;
  std::map<CallPlace, Unknown> unknown_;
  std::map<CallPlace, int> tries_;
  std::vector<PyRef> around_;
  std::vector<Slot> changed_;
  bool hasNew_ = false;
};

} // namespace bifront
