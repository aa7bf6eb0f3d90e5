// How deep functions of a graph may call each other: native code and the reference interpreter go
// as deep on the C stack as the program does.
#pragma once

namespace bifront {

// Throws c10::Error where little is left of this thread's stack.
void checkStackRoom();

} // namespace bifront
