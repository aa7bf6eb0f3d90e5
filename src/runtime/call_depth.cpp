#include "runtime/call_depth.h"

#include <c10/util/Exception.h>

namespace bifront {
namespace {

thread_local uint32_t depth = 0, deepest = ~0u;

} // namespace

CallInProgress::CallInProgress() {
  TORCH_CHECK(depth < deepest, "functions of a graph call each other too deep");
  ++depth;
}

CallInProgress::~CallInProgress() { --depth; }

void allowCallDepth(uint32_t most) { deepest = most < ~0u - depth ? depth + most : ~0u; }

} // namespace bifront
