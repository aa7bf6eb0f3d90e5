// Batch normalisation of images in training, in the executor's own way: channel by channel, while
// it is in the cache, and in vectors, which ATen's sums are not.
#pragma once

#include "runtime/own_function.h"

namespace bifront {

// Null where the operator is neither that nor its gradient, or there are no vectors of our own.
OwnFunction ownBatchNorm(const std::string &schema);

} // namespace bifront
