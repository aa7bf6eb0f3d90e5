// A Program as text, its steps in the order in which its entry runs them. For people and for tests.
#pragma once

#include "codegen/lower_entry.h"
#include "runtime/program.h"

#include <string>

namespace bifront {

std::string printProgram(const Program &program, const EntryCode &entry,
                         const std::vector<AssertSpec> &asserts);

} // namespace bifront
