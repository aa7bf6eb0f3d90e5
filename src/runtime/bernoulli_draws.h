// Draws of zeros and ones in the executor's own way: the very ones that ATen's generator would
// give, of which it makes one after the other. All of dropout are such.
#pragma once

#include "runtime/own_function.h"

namespace bifront {

// Null where the operator is another one, or there are no vectors of our own.
OwnFunction ownDraws(const std::string &schema);

} // namespace bifront
