// Counts calls of malloc and operator new by who made them, for bench/foundation.py: preloaded into
// a process, it tells allocations by Bifront's module and by code in no file (what the JIT made)
// from others.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <new>

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
}

namespace {

constexpr int kMaxRanges = 4096;
struct Range {
  uintptr_t begin, end;
  bool ours;
};
Range ranges[kMaxRanges];
int numRanges = 0;
std::atomic<bool> counting{false};
std::atomic<uint64_t> ours{0}, others{0};

int noteModule(dl_phdr_info *info, size_t, void *) {
  const char *name = info->dlpi_name ? info->dlpi_name : "";
  bool isOurs = strstr(name, "bifront") || strstr(name, "libMLIR") || strstr(name, "libLLVM");
  for (int i = 0; i < info->dlpi_phnum && numRanges < kMaxRanges; ++i) {
    const auto &header = info->dlpi_phdr[i];
    if (header.p_type == PT_LOAD && (header.p_flags & PF_X))
      ranges[numRanges++] = {info->dlpi_addr + header.p_vaddr,
                             info->dlpi_addr + header.p_vaddr + header.p_memsz, isOurs};
  }
  return 0;
}

void note(void *caller) {
  if (!counting.load(std::memory_order_relaxed))
    return;
  auto address = reinterpret_cast<uintptr_t>(caller);
  bool isOurs = true; // code that no file holds
  for (int i = 0; i < numRanges; ++i)
    if (address >= ranges[i].begin && address < ranges[i].end) {
      isOurs = ranges[i].ours;
      break;
    }
  (isOurs ? ours : others).fetch_add(1, std::memory_order_relaxed);
}

} // namespace

extern "C" {

__attribute__((visibility("default"))) void allocations_start() {
  numRanges = 0;
  dl_iterate_phdr(noteModule, nullptr);
  ours = others = 0;
  counting = true;
}
__attribute__((visibility("default"))) void allocations_stop(uint64_t *byUs, uint64_t *byOthers) {
  counting = false;
  *byUs = ours;
  *byOthers = others;
}

__attribute__((visibility("default"))) void *malloc(size_t size) {
  note(__builtin_return_address(0));
  return __libc_malloc(size);
}
__attribute__((visibility("default"))) void *calloc(size_t count, size_t size) {
  note(__builtin_return_address(0));
  return __libc_calloc(count, size);
}
__attribute__((visibility("default"))) void *realloc(void *old, size_t size) {
  note(__builtin_return_address(0));
  return __libc_realloc(old, size);
}
__attribute__((visibility("default"))) int posix_memalign(void **out, size_t alignment,
                                                          size_t size) {
  note(__builtin_return_address(0));
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : 12;
}

} // extern "C"

// operator new calls malloc from libstdc++, which would hide who asked.
static void *allocate(size_t size, void *caller) {
  note(caller);
  void *memory = __libc_malloc(size ? size : 1);
  if (!memory)
    throw std::bad_alloc();
  return memory;
}
__attribute__((visibility("default"))) void *operator new(size_t size) {
  return allocate(size, __builtin_return_address(0));
}
__attribute__((visibility("default"))) void *operator new[](size_t size) {
  return allocate(size, __builtin_return_address(0));
}
