// Functions of MKL's vector library over a tensor's elements, as ATen's kernels call them: code of
// graphs that is to have the bits of eager does so too.
#pragma once

#include <cstdint>

namespace bifront {

// MKL's, as Fortran sees them: how many, from where, to where, how exactly.
using VectorFunction = void (*)(const int32_t *n, const void *from, void *to, const int64_t *mode);

} // namespace bifront

extern "C" {

// A pointwise kernel with one input and one output that is this function of elements of so many
// bytes; `steps` from one element to the next, the rest as a KernelFn has it.
void bf_vector_function(bifront::VectorFunction function, int64_t bytes, char *const *pointers,
                        const int64_t *strides, int64_t n, int64_t m, const int64_t *steps);
}
