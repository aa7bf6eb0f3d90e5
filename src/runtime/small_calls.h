// Operators on few numbers in the executor's own way: in ATen they are a dozen operators each, or
// set up loops for longer than these run.
#pragma once

#include "runtime/own_function.h"

namespace bifront {

// As ownProduct. Results have the bits of ATen's but for the order of sums and the last bit of
// exponentials; draws are ATen's.
OwnFunction ownSmallCall(const std::string &schema);

} // namespace bifront
