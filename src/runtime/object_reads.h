// Reads of Python objects during runs. The executor knows no Python: who does gives the functions.
#pragma once

#include "runtime/program.h"
#include "support/object_read.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace bifront {

// What a read gives: an object's address or a number, or a tensor.
struct ObjectResult {
  Scalar64 scalar = {0};
  at::Tensor tensor = {};
};

struct ObjectReads {
  // A name as `read` wants it, for good.
  const void *(*intern)(const std::string &name) = nullptr;
  // False where the object is not as the op says. Objects that it gives are added to `held`, which
  // keeps them alive. No Python code runs.
  bool (*read)(const ObjectRead &what, const void *name, const ObjectAddress *operands,
               ObjectResult &result, std::vector<ObjectAddress> &held) = nullptr;
  void (*release)(std::vector<ObjectAddress> &held) = nullptr;
};
void setObjectReads(const ObjectReads &reads);
// Throws where nobody has given them.
const ObjectReads &objectReads();

} // namespace bifront
