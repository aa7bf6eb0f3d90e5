// Matrix products of ATen in the executor's own way, where that is faster: ATen's library (MKL)
// leaves AVX-512 unused on other makers' processors, and packs what several products share for
// each.
#pragma once

#include "runtime/matrix_product.h"
#include "runtime/own_function.h"

#include <cstdlib>
#include <memory>

namespace bifront {

// Grows, and keeps nothing when it does.
class FloatMemory {
public:
  float *get(int64_t size);

private:
  struct Free {
    void operator()(float *memory) const { std::free(memory); }
  };
  std::unique_ptr<float, Free> memory;
  int64_t held = 0;
};

// The right factor of several products of a run, packed once for them all.
class PackedRight {
public:
  // The matrix may be another one from now on.
  void forget() { isMade = false; }
  const float *of(const MatrixView &right, int64_t depth, int64_t columns);

private:
  FloatMemory memory;
  MatrixView from{};
  int64_t depth = 0, columns = 0;
  bool isMade = false;
};

// Null where the operator is no product, or there are no vectors of our own. What ATen is as fast
// at it is left to do, unless `evenIfSlower`.
OwnFunction ownProduct(const std::string &schema, bool evenIfSlower = false);

// Whether ATen's library uses all that this machine has for products.
bool atensProductsAreFast();

} // namespace bifront
