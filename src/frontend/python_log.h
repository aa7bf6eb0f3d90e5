// Keeps the account of one call: which of Python's values from before it were read, which were
// changed and how to change them back, and which objects it has made itself.
#pragma once

#include "frontend/python_effects.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace bifront {

// Whether one of the writes is to the object itself, or does something with it.
bool isChangedBy(const std::vector<PythonWrite> &writes, PyObject *object);

// All functions throw PythonError where CPython raises.
class PythonLog {
public:
  // The call has made `object`: nobody else has seen it.
  void noteFresh(PyObject *object);
  // `part` is as old as `whole`, whenever it is first met.
  void noteFreshWith(PyObject *whole, PyObject *part);
  bool isFresh(PyObject *object) const { return fresh_.contains(object); }
  // Iterators that the call has made and that nobody else refers to end, and what they hold.
  void releaseIterators();
  // Variables of functions that are over, by which nested functions would have reached iterators,
  // are emptied.
  void releaseCells();

  // The program has found `value` there (null: nothing). Counts unless the call has made the object
  // or put the value there itself. Whether it counts, and for the first time.
  bool read(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value);
  size_t numReads() const { return effects_.reads.size() + effects_.inputs.size(); }
  void readContainer(PyObject *container);
  void readType(PyTypeObject *type);
  void readTypeOf(PyObject *object);
  // How many items the call has put behind those of a list from before it, to which it has done
  // nothing else. Nothing for other lists.
  std::optional<size_t> appendedTo(PyObject *list);
  // Whether it has put another item in the place of one.
  bool hasSetItems(PyObject *list) const;
  // A function of bifront's own has answered for `argument`, which it only looks at.
  // `function`: a callable, which is given `argument`, or what a tuple of them has; or a descriptor
  // of C's, which is asked for its value in `argument`.
  void readAnswer(PyObject *function, PyObject *argument, PyObject *answer);
  // Whether the call has reached the object by what is watched.
  bool hasRead(PyObject *object) const;
  // Of the last read: `value` varies from call to call. Until the end `proxy`, which stands for the
  // graph's input, is there in its place.
  void standIn(Slot slot, PyObject *value, PyObject *proxy, uint32_t input);

  size_t numStandIns() const { return standIns_.size(); }
  // Whether the program has come to see the n-th of them, or may have.
  bool isSeen(size_t standIn);
  // What stands in for the length of a list; null where nothing does.
  PyRef lengthStandIn(PyObject *list) const;

  // Does the write; `value` null deletes.
  void write(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value);
  // Calls a C function that changes `container` and nothing else, for now; it is called again with
  // each run of the graph.
  PyRef mutate(PyObject *container, PyObject *function, PyObject *const *args, size_t count,
               PyObject *keywordNames);
  // Puts `value` (null: nothing) under a number of the graph, for which the dict is left alone now.
  void putNumbered(PyObject *dict, PyObject *number, PyObject *value);
  // Whether the call has done that.
  bool hasNumbered(PyObject *dict) const;
  // All that the call has put into a dict, in order; null values: what it has taken out. Throws
  // where it has changed the dict in another way too.
  struct Put {
    PyRef key, value;
  };
  std::vector<Put> putInto(PyObject *dict) const;
  // The same for a function that does something outside of Python's values: it is not called now.
  void postpone(PyObject *function, PyObject *const *args, size_t count, PyObject *keywordNames);
  // What waits for the end, in the order of the program.
  const std::vector<PythonWrite> &writes() const { return effects_.writes; }
  // Whether the call has changed what is there, for the end of the run.
  bool hasChanged(const Slot &slot) const;
  // Whether something waits for the end that a call sees which reaches these, as
  // InterpreterHost::reachedByCall.
  bool hasPending(PyObject *reached) const;
  // Whether the program has said something that waits.
  bool hasPostponed() const { return postponed_ > 0; }

  // What has happened since a mark can be taken back, as if it had not; what was read stays read.
  struct Mark {
    size_t undo, notes, fresh, standIns, postponed;
    std::vector<PythonWrite> writes;
  };
  Mark mark() const;
  void rollBack(const Mark &mark);
  bool isFreshSince(const Mark &mark, PyObject *object) const;

  // A place that has changed since a mark, and what is there now.
  struct Change {
    bool isContainer; // all of slot.object, with a copy as `now`
    Slot slot;
    PyRef now; // null: nothing
  };
  std::vector<Change> changesSince(const Mark &mark) const;
  // Whether the program has done since the mark what cannot be said as such changes.
  bool hasCalledSince(const Mark &mark) const;
  PyRef valueNow(const Slot &slot) const;
  // What is now where something had changed.
  PyRef contentsAt(const Change &change) const;
  // Gives a container that the call has made these contents.
  void refill(PyObject *container, PyObject *contents);

  // Other threads are about to run, which may change the same values: until `show`, all values from
  // before the call are as they would be without it. Nothing else of the log may be used meanwhile
  // but what notes new objects.
  void hide();
  void show();
  bool isHidden() const { return isHidden_; }
  // Whether that changes this object itself.
  bool hides(PyObject *object) const;

  // All changes of values from before the call are taken back; they are in the effects.
  PythonEffects finish();

private:
  struct SlotState {
    bool read = false, written = false;
    bool readAgain = false;
    int64_t lastWrite = -1; // among the writes, where it may still be replaced
  };
  // What is known of one object from before the call.
  struct ObjectState {
    PyRef object;
    PyRef indexOfKey; // a dict, so that keys are compared as Python compares them
    std::vector<SlotState> slots;
    bool containerRead = false, typeRead = false, typeOfRead = false;
    bool mutated = false;      // in another way than by appending
    Py_ssize_t sizeBefore = 0; // of a list
    // Items are known by one of these, so that no item has two names.
    bool indexed = false, indexedFromEnd = false;
  };
  struct Undo {
    enum class Kind : uint8_t { Slot, Container } kind;
    Slot slot;
    PyRef before; // Slot: null where there was nothing; Container: a copy
  };

  struct StandIn {
    Slot slot;
    PyRef before, proxy;
  };

  // What was known of a place before it was written.
  struct Note {
    PyObject *object;
    size_t slot;
    SlotState before;
    bool mutatedBefore;
  };

  ObjectState &stateOf(PyObject *object);
  bool namesItem(ObjectState &state, PyObject *index);
  void noteState(ObjectState &state, size_t slot);
  void forgetLastWrites(ObjectState &state);
  void refuseNumbered(PyObject *container) const;
  size_t indexOf(ObjectState &state, PyObject *key);
  SlotState &slotOf(ObjectState &state, PyObject *key) { return state.slots[indexOf(state, key)]; }
  PyRef itemsAsTheyAre(PyObject *function, PyObject *argument);
  void noteCall(PyObject *function, PyObject *const *args, size_t count, PyObject *keywordNames);
  void noteBefore(Slot::Kind kind, PyObject *object, PyObject *key);
  void takeBack(const Undo &undo);
  void exchange(Undo &undo);
  void requireShown() const;

  struct Fresh {
    PyRef object;
    size_t number; // in the order in which they were made
  };
  std::unordered_map<PyObject *, Fresh> fresh_;
  size_t numFresh_ = 0; // with those that have ended
  std::vector<PyObject *> iterators_;
  std::unordered_map<PyObject *, ObjectState> states_;
  std::vector<Undo> undo_;
  std::vector<StandIn> standIns_;
  std::vector<Note> notes_;
  bool isHidden_ = false;
  size_t postponed_ = 0; // up to the last call that was: writes before it stay before it
  PythonEffects effects_;
};

} // namespace bifront
