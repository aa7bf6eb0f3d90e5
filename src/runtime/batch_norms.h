// Batch normalisation of images in training, in the executor's own way: channel by channel, while
// it is in the cache, and in vectors, which ATen's sums are not.
#pragma once

#include "runtime/float_products.h"

namespace bifront {

// As ownProduct: nothing is a product, but null and false say the same.
ProductFn ownBatchNorm(const std::string &schema);

} // namespace bifront
