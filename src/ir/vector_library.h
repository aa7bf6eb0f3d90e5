// Functions that ATen has from MKL's vector library, whose last bits are its own.
#pragma once

namespace bifront::bf {

// On the one op in the body of a bf.pointwise, a math.sqrt: the whole is a call of the library, so
// that it has the bits of eager and cannot fail. It is not fused with others.
constexpr const char *kFromLibraryAttr = "bf.from_library";

} // namespace bifront::bf
