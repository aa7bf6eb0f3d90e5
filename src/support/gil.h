// The GIL, for what runs with it in some threads and without it in others.
#pragma once

#include <Python.h>

namespace bifront {

class Gil {
public:
  Gil() : state_(PyGILState_Ensure()) {}
  ~Gil() { PyGILState_Release(state_); }
  Gil(const Gil &) = delete;

private:
  PyGILState_STATE state_;
};

} // namespace bifront
