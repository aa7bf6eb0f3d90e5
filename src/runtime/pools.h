// Pools of images in the executor's own way: in vectors, which ATen's are not.
#pragma once

#include "runtime/own_function.h"

namespace bifront {

// Null where the operator is no such pool, or there are no vectors of our own.
OwnFunction ownPool(const std::string &schema);

} // namespace bifront
