// Pools of images in the executor's own way: in vectors, which ATen's are not.
#pragma once

#include "runtime/float_products.h"

namespace bifront {

// As ownProduct: nothing is a product, but null and false say the same.
ProductFn ownPool(const std::string &schema);

} // namespace bifront
