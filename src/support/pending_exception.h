// What must not lose an exception that is pending, while it runs Python code of its own.
#pragma once

#include <Python.h>

namespace bifront {

// Sets a pending exception aside; it is pending again where this ends, in the place of any other.
class PendingException {
public:
  PendingException() { PyErr_Fetch(&type_, &value_, &trace_); }
  ~PendingException() { PyErr_Restore(type_, value_, trace_); }
  PendingException(const PendingException &) = delete;

private:
  PyObject *type_ = nullptr, *value_ = nullptr, *trace_ = nullptr;
};

} // namespace bifront
