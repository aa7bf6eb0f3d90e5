// Where the exception that ended a walk came from, for reports.
#pragma once

#include "ir/graph_recorder.h"

namespace bifront {

// The innermost line of the program (not of a library) that this thread's last exception has left;
// no line where there was none since `forgetLeftAt`.
SourceLine leftAt();
void forgetLeftAt();

struct PythonFrame;
void noteLeaving(const PythonFrame &frame); // for each frame, innermost first
// The frame is the next that it leaves, though it goes through a generator's first.
void noteRaisedIn(const PythonFrame &frame);

} // namespace bifront
