// What a graph calls in the place of a read of a slot that opaque calls change.
#pragma once

#include "frontend/python_effects.h"

namespace bifront {

// A callable without arguments.
PyRef makeSlotReader(const Slot &slot);

} // namespace bifront
