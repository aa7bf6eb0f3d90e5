// What conversions have made, kept in files for later processes of the same user
// (docs/decisions/031). A file is used where its checksum holds, which is made with a secret of
// that cache: a file that is damaged, edited, or comes from elsewhere is rejected, and made anew.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bifront {

// An empty path: none is used, as at first. `versions`: of what results depend on beside this
// module and the CPU. Throws FileError where the directory is not the user's alone.
void useDiskCache(const std::string &directory, const std::string &versions);

struct DiskCacheState {
  std::string directory; // empty where none is used
  uint64_t found = 0, made = 0;
  std::vector<std::string> rejected; // files, and why
};
DiskCacheState diskCacheState();

// Keeps one kind of result under a hash of what it is made from. Thread-safe; nothing here throws:
// a file that cannot be used is as none, and said on stderr.
class DiskCacheEntry {
public:
  // `kind`: a word. `source`: all that the result follows from, beside the versions and the CPU.
  DiskCacheEntry(std::string_view kind, std::string_view source);
  std::optional<std::string> read() const;
  void write(std::string_view content) const;
  // What read() has returned was no such result after all.
  void reject(const std::string &why) const;

private:
  std::string path_; // empty: no cache is used
  std::string key_;
};

bool usesDiskCache();

} // namespace bifront
