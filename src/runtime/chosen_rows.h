// Rows of tensors by their numbers in the executor's own way: as wholes, where ATen goes through
// their elements.
#pragma once

#include "runtime/own_function.h"

namespace bifront {

// Null where the operator is another one, or the user wants none of our own.
OwnFunction ownRows(const std::string &schema);

} // namespace bifront
