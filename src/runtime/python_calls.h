// Opaque calls during runs. The executor knows no Python: who does gives the function.
#pragma once

#include "support/object_read.h"
#include "support/python_call.h"

#include <ATen/core/ivalue.h>

#include <span>
#include <vector>

namespace bifront {

// The object that is returned, which is added to `held`. An operand that is an object is its
// address; tensors are the callee's to keep. Throws where the callee raises.
using CallPython = ObjectAddress (*)(const PythonCall &what, ObjectAddress callee,
                                     std::span<const c10::IValue> operands,
                                     std::vector<ObjectAddress> &held);
void setPythonCalls(CallPython call);
// Throws where nobody has given it.
CallPython pythonCalls();

} // namespace bifront
