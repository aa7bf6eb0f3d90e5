// Which other walk of the program knows more of a tensor's history than that it is one of several.
#pragma once

#include "capture/merged_history.h"
#include "frontend/interpreter_host.h"

namespace bifront {

// `history` has a site.
CannotFork otherWalk(const Policies &policies, const MergedHistory &history,
                     const std::string &why);

} // namespace bifront
