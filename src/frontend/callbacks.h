// Python objects that lead back into the interpreter: what C functions are given in the place of
// Python functions and generators, which CPython would run past it.
#pragma once

#include "frontend/python_error.h"
#include "support/py_ref.h"

#include <deque>
#include <functional>
#include <memory>

namespace bifront {

// What a callback does; with the interpreter it ends, and raises then.
struct Callback {
  virtual ~Callback() = default;
  // As tp_call: a new reference, or null with an exception set. May throw PythonError, and what is
  // to become a RuntimeError.
  virtual PyObject *call(PyObject *arguments, PyObject *keywords);
  // As tp_iternext.
  virtual PyObject *next();
  // As a generator's methods.
  virtual PyObject *send(PyObject *value);
  virtual PyObject *raiseInside(PyObject *exception);
  virtual PyObject *close();
  // Nobody refers to the Python object any more.
  virtual void dropped() {}
  // Whether it is in the middle of something.
  virtual bool waits() const { return false; }
  // No more calls: the interpreter ends.
  virtual void end() {}
  bool ended = false;
};

// A callable, and an iterator with a generator's methods. Null with an exception set.
PyObject *makeCallable(std::shared_ptr<Callback> callback);
PyObject *makeIterator(std::shared_ptr<Callback> callback);
Callback *callbackOf(PyObject *object); // null for other objects

// The callable of this kind for which `is` holds, of those that were asked for last, or what `make`
// makes. The same one each time: the paths of a graph have to agree on it.
template <typename Kind, typename Is, typename Make>
PyRef sharedCallable(const Is &is, const Make &make) {
  constexpr size_t kMost = 256;
  // Never destroyed: the interpreter ends before C++ statics do.
  static auto *known = new std::deque<PyRef>;
  for (const PyRef &other : *known)
    if (is(*static_cast<const Kind *>(callbackOf(other.get()))))
      return other;
  known->push_front(checked(makeCallable(std::shared_ptr<Kind>(make()))));
  if (known->size() > kMost)
    known->pop_back();
  return known->front();
}

} // namespace bifront
