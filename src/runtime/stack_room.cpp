#include "runtime/stack_room.h"

#include <c10/util/Exception.h>

#include <cstddef>
#include <pthread.h>

namespace bifront {

void checkStackRoom() {
  constexpr size_t kReserve = 256 << 10; // for operators' own needs
  thread_local const char *lowest = [] {
    pthread_attr_t attributes;
    void *low = nullptr;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
      pthread_attr_getstack(&attributes, &low, &bytes);
      pthread_attr_destroy(&attributes);
    }
    return static_cast<const char *>(low);
  }();
  const char *here = static_cast<const char *>(__builtin_frame_address(0));
  TORCH_CHECK(here > lowest + kReserve, "functions of a graph call each other too deep");
}

} // namespace bifront
