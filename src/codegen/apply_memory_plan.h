// Offsets, releases and overwritten operands of a plan, put into a program's steps.
#pragma once

#include "codegen/build_program.h"

namespace bifront {

void applyMemoryPlan(BuiltProgram &built, const MemoryPlan &plan);

} // namespace bifront
