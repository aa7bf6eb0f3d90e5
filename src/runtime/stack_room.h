// How deep functions of a graph may call each other: native code and the reference interpreter go
// as deep on the C stack as the program does.
#pragma once

#include <cstdint>

namespace bifront {

// Throws c10::Error where little is left of this thread's stack.
void checkStackRoom();

// Calls `function`, which does not throw, on another stack where little is left of this one. Throws
// c10::Error where there is no memory for that.
int32_t callWithStackRoom(int32_t (*function)(void *), void *argument);

} // namespace bifront
