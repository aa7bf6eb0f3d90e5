// How runs read Python objects (runtime/object_reads.h).
#pragma once

#include "runtime/object_reads.h"

#include <vector>

namespace bifront {

// While it lives, what this thread's runs have met of Python outlives them: until their results are
// made. Needs the GIL.
class KeptObjects {
public:
  KeptObjects();
  ~KeptObjects();
  KeptObjects(const KeptObjects &) = delete;

private:
  std::vector<ObjectAddress> objects_;
  std::vector<ObjectAddress> *outer_;
};

// Tells the executor; once for the process.
void giveObjectReads();

} // namespace bifront
