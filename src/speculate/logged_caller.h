// What a graph calls in the place of a function of the program whose effects nobody knows, or waits
// with until its end.
#pragma once

#include "frontend/interpreter.h"

namespace bifront {

// A callable that is given the function and its arguments. In a run it calls it as though the
// program did, with `frames` around it, and logs that; where a run is only tried, it returns what
// such a call has returned before.
PyRef makeLoggedCaller(const CallPlace &place, const OpaqueSite &site,
                       const std::vector<LoggedFrame> &frames, bool grad);
// A callable that calls a function, given it and its arguments, as though code in these frames did.
PyRef makeCallerFrom(const std::vector<LoggedFrame> &frames);
bool isLoggedCaller(PyObject *object);

} // namespace bifront
