// The functions that native code may call, by name. Nothing is looked up behind the back of whoever
// loaded us: torch's libraries are not in the process's global scope.
#pragma once

#include <string_view>

namespace bifront {

// The address stays valid as long as the process. A second registration of a name replaces the
// first for code that is compiled from then on.
void registerSymbol(std::string_view name, void *address);

// Names that nobody registered are looked up in `handle` (dlopen's), which is never closed: that of
// libtorch_cpu has Sleef.
void registerLibrary(void *handle);

// Null where there is no such function. Thread-safe, as are the above.
void *findSymbol(std::string_view name);

} // namespace bifront
