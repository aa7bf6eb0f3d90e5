// What a graph calls in the place of a function of the program whose effects nobody knows.
#pragma once

#include "frontend/interpreter.h"

namespace bifront {

// A callable that is given the function and its arguments. In a run it calls it as though the
// program did, with `frames` around it, and logs that; where a run is only tried, it returns what
// such a call has returned before.
PyRef makeLoggedCaller(const CallPlace &place, const OpaqueSite &site,
                       const std::vector<LoggedFrame> &frames, bool grad);
bool isLoggedCaller(PyObject *object);

} // namespace bifront
