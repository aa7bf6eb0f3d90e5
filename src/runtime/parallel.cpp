#include "runtime/parallel.h"

#include "runtime/atens_library.h"

#include <ATen/Parallel.h>

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

// ThreadSanitizer does not see the library's barriers.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define BARRIER_AHEAD(object) __tsan_release(object)
#define BARRIER_BEHIND(object) __tsan_acquire(object)
#endif
#endif
#ifndef BARRIER_AHEAD
#define BARRIER_AHEAD(object)
#define BARRIER_BEHIND(object)
#endif

namespace bifront {
namespace {

struct OpenMP {
  // GOMP_parallel: each thread of a team of `threads` calls the function with the data.
  void (*run)(void (*function)(void *), void *data, unsigned threads, unsigned flags) = nullptr;
  int (*threadNumber)() = nullptr;
  int (*teamSize)() = nullptr;
};

// Nothing in it where ATen does without, or with another compiler's library.
OpenMP ofAten() {
  OpenMP found;
  void *library = atensLibrary();
  if (!library)
    return found;
  auto find = [&](auto &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
  };
  find(found.run, "GOMP_parallel");
  find(found.threadNumber, "omp_get_thread_num");
  find(found.teamSize, "omp_get_num_threads");
  return found.threadNumber && found.teamSize ? found : OpenMP();
}

const OpenMP &openMP() {
  static const OpenMP found = ofAten();
  return found;
}

struct Loop {
  int64_t count;
  c10::function_ref<void(int64_t, int64_t)> part;
  std::atomic<bool> failed = false;
  std::exception_ptr error = nullptr;
};

void runPart(void *data) {
  BARRIER_BEHIND(data);
  Loop &loop = *static_cast<Loop *>(data);
  int64_t team = openMP().teamSize(), each = (loop.count + team - 1) / team;
  int64_t begin = openMP().threadNumber() * each;
  try {
    if (begin < loop.count)
      loop.part(begin, std::min(begin + each, loop.count));
  } catch (...) {
    if (!loop.failed.exchange(true))
      loop.error = std::current_exception();
  }
  BARRIER_AHEAD(data);
}

} // namespace

void parallelFor(int64_t count, int64_t grain, c10::function_ref<void(int64_t, int64_t)> part) {
  int64_t threads = std::min<int64_t>(at::get_num_threads(), count / std::max<int64_t>(1, grain));
  if (threads <= 1 || at::in_parallel_region() || !openMP().run) {
    if (count > 0)
      part(0, count);
    return;
  }
  Loop loop{count, part};
  BARRIER_AHEAD(&loop);
  openMP().run(runPart, &loop, static_cast<unsigned>(threads), 0);
  BARRIER_BEHIND(&loop);
  if (loop.error)
    std::rethrow_exception(loop.error);
}

} // namespace bifront
