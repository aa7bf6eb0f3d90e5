// The one table of options: environment variable, default, what it does. Read once, at first use;
// the documentation is made from the table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// Columns: member, type, environment variable, default, one sentence.
#define BIFRONT_OPTIONS(X)                                                                         \
  X(enabled, bool, "BIFRONT_ENABLED", true, "Convert functions; 0 leaves every call to CPython.")  \
  X(log, bool, "BIFRONT_LOG", false,                                                               \
    "Print a line to stderr for each conversion and each call that left a graph.")                 \
  X(dumpBefore, std::string, "BIFRONT_DUMP_BEFORE", "",                                            \
    "Passes before which to print the graph to stderr: names with commas between, or all.")        \
  X(dumpAfter, std::string, "BIFRONT_DUMP_AFTER", "",                                              \
    "Passes after which to print the graph to stderr: names with commas between, or all.")         \
  X(disablePasses, std::string, "BIFRONT_DISABLE_PASSES", "",                                      \
    "Optional passes to leave out: names with commas between.")                                    \
  X(verify, bool, "BIFRONT_VERIFY", kDebugBuild,                                                   \
    "Verify the graph after every pass; on in builds with assertions.")                            \
  X(failOnPurpose, bool, "BIFRONT_FAIL_ON_PURPOSE", false,                                         \
    "For tests: let them name a check, operator or allocation that fails although all is well.")   \
  X(ownProducts, bool, "BIFRONT_OWN_PRODUCTS", true,                                               \
    "Multiply, convolve, normalise, pool and draw in code of our own where that is faster; 0 "     \
    "leaves all to ATen.")                                                                         \
  X(graphMegabytes, int64_t, "BIFRONT_GRAPH_MEGABYTES", 4096,                                      \
    "Memory that the graphs of one function may keep for their tensors; the least used one goes.") \
  X(cacheMegabytes, int64_t, "BIFRONT_CACHE_MEGABYTES", 1024,                                      \
    "What a directory of bifront.cache may grow to; the files that were used longest ago go.")     \
  X(background, bool, "BIFRONT_BACKGROUND", false,                                                 \
    "Compile graphs in a thread of their own, while CPython runs the calls.")                      \
  X(cache, std::string, "BIFRONT_CACHE", "",                                                       \
    "Directory in which graphs are kept for later processes, as bifront.cache.use does it.")

namespace bifront {

#ifdef NDEBUG
inline constexpr bool kDebugBuild = false;
#else
inline constexpr bool kDebugBuild = true;
#endif

struct Options {
#define BIFRONT_OPTION(member, type, variable, fallback, sentence) type member = fallback;
  BIFRONT_OPTIONS(BIFRONT_OPTION)
#undef BIFRONT_OPTION
};

struct OptionText {
  std::string_view name, variable, fallback, sentence;
};

// Throws std::invalid_argument where a variable's value is not of its type.
Options readOptions();
const Options &options();
std::span<const OptionText> optionTexts();

} // namespace bifront
