// Which values of a call may lie in the same memory.
#pragma once

#include "ir/bf_dialect.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace bifront {

struct CallSharing {
  // (result, operand): the result may be a view of the operand, or the operand itself.
  std::vector<std::pair<unsigned, uint32_t>> withOperand;
  // (result, result)
  std::vector<std::pair<unsigned, unsigned>> withResult;
  // Per result: the call allocates it, as a dense tensor of its own.
  std::vector<bool> fresh;
};

// Conservative: of an operator without a row in the op table, nothing is believed.
CallSharing sharingOf(bf::AtenOp op);

} // namespace bifront
