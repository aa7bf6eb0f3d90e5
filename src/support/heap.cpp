#include "support/heap.h"

#include <malloc.h>

namespace bifront {

void returnFreeMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

} // namespace bifront
