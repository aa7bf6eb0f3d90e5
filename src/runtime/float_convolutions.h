// Convolutions of few and small images in the executor's own way: ATen's library takes tens of
// microseconds for each, whatever there is to do (docs/decisions/046).
#pragma once

#include "runtime/float_products.h"

namespace bifront {

// As ownProduct; what ATen is as fast at it is left to do, unless `evenIfSlower`.
OwnFunction ownConvolution(const std::string &schema, bool evenIfSlower = false);

} // namespace bifront
