#include "runtime/stack_room.h"

#include <c10/util/Exception.h>

#include <cstddef>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

namespace bifront {
namespace {

constexpr size_t kReserve = 256 << 10; // for operators' own needs

// The lowest address of the stack that this thread is on.
const char *&lowestAddress() {
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
  return lowest;
}

bool hasRoom() {
  const char *here = static_cast<const char *>(__builtin_frame_address(0));
  return here > lowestAddress() + kReserve;
}

constexpr bool kSanitized =
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
    true; // which knows of one stack
#else
    false;
#endif

// A stack of its own for one call. Only the pages that are touched take memory.
class OtherStack {
public:
  OtherStack() {
    TORCH_CHECK(memory_ != MAP_FAILED, "no memory for functions of a graph that call each other");
    mprotect(memory_, static_cast<size_t>(sysconf(_SC_PAGESIZE)), PROT_NONE);
  }
  ~OtherStack() {
    if (memory_ != MAP_FAILED)
      munmap(memory_, kBytes);
  }
  OtherStack(const OtherStack &) = delete;
  OtherStack &operator=(const OtherStack &) = delete;

  int32_t call(int32_t (*function)(void *), void *argument) {
    function_ = function;
    argument_ = argument;
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = memory_;
    inside_.uc_stack.ss_size = kBytes;
    inside_.uc_link = &outside_;
    auto address = reinterpret_cast<uintptr_t>(this); // makecontext passes ints
    makecontext(&inside_, reinterpret_cast<void (*)()>(run), 2, static_cast<uint32_t>(address),
                static_cast<uint32_t>(address >> 32));
    const char *before = lowestAddress();
    lowestAddress() = static_cast<const char *>(memory_);
    swapcontext(&outside_, &inside_);
    lowestAddress() = before;
    return status_;
  }

private:
  static constexpr size_t kBytes = size_t{64} << 20;

  static void run(uint32_t low, uint32_t high) {
    auto *self = reinterpret_cast<OtherStack *>((uintptr_t{high} << 32) | low);
    self->status_ = self->function_(self->argument_);
  }

  void *memory_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  ucontext_t inside_{}, outside_{};
  int32_t (*function_)(void *) = nullptr;
  void *argument_ = nullptr;
  int32_t status_ = 0;
};

} // namespace

void checkStackRoom() { TORCH_CHECK(hasRoom(), "functions of a graph call each other too deep"); }

int32_t callWithStackRoom(int32_t (*function)(void *), void *argument) {
  if (hasRoom())
    return function(argument);
  if (kSanitized)
    checkStackRoom();
  return OtherStack().call(function, argument);
}

} // namespace bifront
