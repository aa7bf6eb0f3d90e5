#include "codegen/private_files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace bifront {
namespace {

[[noreturn]] void failWith(const std::string &path, const std::string &what) {
  throw FileError(path + ": " + what);
}

[[noreturn]] void failWithErrno(const std::string &path, const std::string &what) {
  failWith(path, what + ": " + std::strerror(errno));
}

// Closes it.
class Descriptor {
public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  ~Descriptor() {
    if (number_ >= 0)
      close(number_);
  }
  int number() const { return number_; }

private:
  int number_;
};

void requirePrivate(const std::string &path, const struct stat &status) {
  if (status.st_uid != geteuid())
    failWith(path, "it belongs to another user");
  if (status.st_mode & (S_IRWXG | S_IRWXO))
    failWith(path, "other users may read or write it");
}

void writeAll(int file, const std::string &path, std::string_view content) {
  while (!content.empty()) {
    ssize_t written = write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      failWithErrno(path, "it cannot be written");
    content.remove_prefix(written);
  }
}

// Removes it, unless it has got its name.
class TemporaryFile {
public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile() { unlink(path_.c_str()); }
  const std::string &path() const { return path_; }

private:
  std::string path_;
};

} // namespace

void makePrivateDirectory(const std::string &path) {
  std::error_code error;
  std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty())
    std::filesystem::create_directories(parent, error);
  if (mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST)
    failWithErrno(path, "the directory cannot be made");
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0)
    failWithErrno(path, "the directory cannot be looked at");
  if (!S_ISDIR(status.st_mode))
    failWith(path, "it is not a directory");
  requirePrivate(path, status);
}

std::optional<std::string> readPrivateFile(const std::string &path) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.number() < 0 && errno == ENOENT)
    return std::nullopt;
  if (file.number() < 0 && errno == ELOOP)
    failWith(path, "it is a link");
  if (file.number() < 0)
    failWithErrno(path, "it cannot be read");
  struct stat status{};
  if (fstat(file.number(), &status) != 0)
    failWithErrno(path, "it cannot be looked at");
  if (!S_ISREG(status.st_mode))
    failWith(path, "it is not a file");
  requirePrivate(path, status);
  std::string content(status.st_size, '\0');
  size_t done = 0;
  while (done < content.size()) {
    ssize_t got = read(file.number(), content.data() + done, content.size() - done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      failWithErrno(path, "it cannot be read");
    if (got == 0)
      break;
    done += got;
  }
  content.resize(done);
  futimens(file.number(), nullptr); // it has been used; where that cannot be noted, it goes earlier
  return content;
}

void writePrivateFile(const std::string &path, std::string_view content, bool mayReplace) {
  static std::atomic<uint64_t> number{0};
  TemporaryFile temporary(path + "." + std::to_string(getpid()) + "." + std::to_string(number++) +
                          ".new");
  {
    Descriptor file(open(temporary.path().c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
    if (file.number() < 0)
      failWithErrno(temporary.path(), "it cannot be made");
    writeAll(file.number(), temporary.path(), content);
  }
  int done = mayReplace ? rename(temporary.path().c_str(), path.c_str())
                        : link(temporary.path().c_str(), path.c_str());
  if (done != 0 && (mayReplace || errno != EEXIST))
    failWithErrno(path, "it cannot be written");
}

void boundFiles(const std::string &directory, std::string_view ending, uint64_t bytes) {
  struct Found {
    timespec used;
    uint64_t bytes;
    std::string path;
  };
  std::vector<Found> files;
  uint64_t total = 0;
  std::error_code error; // a file may go while we look: another process bounds them too
  for (const auto &entry : std::filesystem::directory_iterator(directory, error)) {
    struct stat status{};
    std::string path = entry.path().string();
    if (!path.ends_with(ending) || lstat(path.c_str(), &status) != 0)
      continue;
    files.push_back({status.st_mtim, static_cast<uint64_t>(status.st_size), std::move(path)});
    total += files.back().bytes;
  }
  std::ranges::sort(files, [](const Found &one, const Found &other) {
    return std::pair(one.used.tv_sec, one.used.tv_nsec) <
           std::pair(other.used.tv_sec, other.used.tv_nsec);
  });
  for (const Found &file : files) {
    if (total <= bytes)
      break;
    unlink(file.path.c_str());
    total -= file.bytes;
  }
}

std::string randomSecret() {
  std::string secret(32, '\0');
  if (getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size()))
    failWithErrno("getrandom", "no secret can be made");
  return secret;
}

} // namespace bifront
