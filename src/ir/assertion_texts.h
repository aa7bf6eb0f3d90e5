// What assertions say that those look for who hear that they have failed.
#pragma once

#include <string>
#include <string_view>

namespace bifront {

// Of Python's ints, which have 64 bits in graphs: how it ends.
inline constexpr std::string_view kFitsInt64 = " fits 64 bits";

inline std::string fitsInt64(std::string what) { return what.append(kFitsInt64); }

} // namespace bifront
