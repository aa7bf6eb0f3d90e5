#include "codegen/disk_cache.h"

#include "codegen/private_files.h"
#include "support/options.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/xxhash.h"
#include "llvm/TargetParser/Host.h"

#include <algorithm>
#include <dlfcn.h>
#include <initializer_list>
#include <iostream>
#include <mutex>

namespace bifront {
namespace {

// Changes with the layout of the files.
constexpr std::string_view kHeader = "bifront cache 1\n";
constexpr std::string_view kEnding = ".kept";

struct Cache {
  std::mutex mutex;
  DiskCacheState state;
  std::string secret, versions;
};

Cache &cache() {
  static auto *made = new Cache(); // native code may be compiled until the process ends
  return *made;
}

std::string sha256(std::initializer_list<std::string_view> parts) {
  llvm::SHA256 hash;
  for (std::string_view part : parts)
    hash.update(llvm::StringRef(part));
  auto digest = hash.final();
  return {reinterpret_cast<const char *>(digest.data()), digest.size()};
}

// HMAC-SHA-256 (RFC 2104): who does not know the secret cannot make it.
std::string checksum(const std::string &secret, std::string_view key, std::string_view content) {
  std::string inner(64, '\x36'), outer(64, '\x5c');
  for (size_t i = 0; i < secret.size(); ++i) {
    inner[i] = static_cast<char>(inner[i] ^ secret[i]);
    outer[i] = static_cast<char>(outer[i] ^ secret[i]);
  }
  return llvm::toHex(sha256({outer, sha256({inner, key, content})}), /*LowerCase=*/true);
}

bool equalInConstantTime(std::string_view one, std::string_view other) {
  unsigned char difference = one.size() != other.size();
  for (size_t i = 0; i < std::min(one.size(), other.size()); ++i)
    difference |= one[i] ^ other[i];
  return difference == 0;
}

// The file that this code is in: what another build of it makes may differ.
std::string thisModule() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<const void *>(&thisModule), &info))
    throw FileError("this module's own file cannot be found");
  auto file = llvm::MemoryBuffer::getFile(info.dli_fname, false, /*RequiresNullTerminator=*/false);
  if (!file)
    throw FileError(std::string(info.dli_fname) + ": " + file.getError().message());
  auto hash = llvm::xxh3_128bits(llvm::arrayRefFromStringRef((*file)->getBuffer()));
  return llvm::utohexstr(hash.high64) + "." + llvm::utohexstr(hash.low64);
}

std::string thisCpu() {
  std::vector<std::string> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    features.push_back((feature.second ? "+" : "-") + feature.first().str());
  std::ranges::sort(features);
  return llvm::sys::getHostCPUName().str() + " " + llvm::join(features, ",");
}

std::string secretOf(const std::string &directory) {
  std::string path = directory + "/secret";
  if (auto secret = readPrivateFile(path)) {
    if (secret->size() != 32)
      throw FileError(path + ": it is damaged; remove it to begin the cache anew");
    return *secret;
  }
  writePrivateFile(path, randomSecret(), /*mayReplace=*/false); // another process may be as far
  auto secret = readPrivateFile(path);
  if (!secret || secret->size() != 32)
    throw FileError(path + ": it cannot be made");
  return *secret;
}

void say(const std::string &what) { std::cerr << "bifront: cache: " + what + "\n" << std::flush; }

void noteRejected(const std::string &what) {
  constexpr size_t kMostNoted = 64;
  say(what);
  std::lock_guard lock(cache().mutex);
  if (cache().state.rejected.size() < kMostNoted)
    cache().state.rejected.push_back(what);
}

// The content of a file whose checksum holds. Throws FileError.
std::string contentOf(const std::string &path, std::string file, const std::string &key) {
  constexpr size_t kHex = 64;
  std::string_view text = file;
  size_t begin = kHeader.size() + kHex + 1;
  if (!text.starts_with(kHeader) || text.size() < begin)
    throw FileError(path + ": it is not a file of this cache");
  std::string expected;
  {
    std::lock_guard lock(cache().mutex);
    expected = checksum(cache().secret, key, text.substr(begin));
  }
  if (!equalInConstantTime(text.substr(kHeader.size(), kHex), expected))
    throw FileError(path + ": its checksum does not hold: it is damaged, was edited, or comes from "
                           "another cache");
  return file.substr(begin);
}

} // namespace

void useDiskCache(const std::string &directory, const std::string &versions) {
  if (directory.empty()) {
    std::lock_guard lock(cache().mutex);
    cache().state = {};
    return;
  }
  makePrivateDirectory(directory);
  std::string secret = secretOf(directory);
  std::string all =
      versions + "\n" + thisModule() + "\n" + LLVM_VERSION_STRING + "\n" + thisCpu() + "\n";
  boundFiles(directory, kEnding, static_cast<uint64_t>(options().cacheMegabytes) << 20);
  std::lock_guard lock(cache().mutex);
  cache().state = {};
  cache().state.directory = directory;
  cache().secret = std::move(secret);
  cache().versions = std::move(all);
}

DiskCacheState diskCacheState() {
  std::lock_guard lock(cache().mutex);
  return cache().state;
}

bool usesDiskCache() {
  std::lock_guard lock(cache().mutex);
  return !cache().state.directory.empty();
}

DiskCacheEntry::DiskCacheEntry(std::string_view kind, std::string_view source) {
  std::lock_guard lock(cache().mutex);
  if (cache().state.directory.empty())
    return;
  key_ = llvm::toHex(sha256({kind, "\n", cache().versions, source}), /*LowerCase=*/true);
  path_ = cache().state.directory + "/" + std::string(kind) + "-" + key_ + std::string(kEnding);
}

std::optional<std::string> DiskCacheEntry::read() const {
  if (path_.empty())
    return std::nullopt;
  try {
    auto file = readPrivateFile(path_);
    if (!file)
      return std::nullopt;
    std::string content = contentOf(path_, std::move(*file), key_);
    std::lock_guard lock(cache().mutex);
    ++cache().state.found;
    return content;
  } catch (const FileError &error) {
    noteRejected(error.what());
    return std::nullopt;
  }
}

void DiskCacheEntry::write(std::string_view content) const {
  if (path_.empty())
    return;
  std::string sum;
  {
    std::lock_guard lock(cache().mutex);
    ++cache().state.made;
    sum = checksum(cache().secret, key_, content);
  }
  try {
    writePrivateFile(path_, std::string(kHeader) + sum + "\n" + std::string(content));
  } catch (const FileError &error) { // the next process makes it again
    say(error.what());
  }
}

void DiskCacheEntry::reject(const std::string &why) const { noteRejected(path_ + ": " + why); }

} // namespace bifront
