// Files that nobody but the user can read or write, in a directory of which the same holds.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bifront {

// What it is about is not the user's alone, or cannot be read or written.
struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Makes the directory, for the user alone, where there is none. Throws FileError where it belongs
// to somebody else, or others may read it or write there.
void makePrivateDirectory(const std::string &path);

// All of a file; nothing where there is none. It is checked and read through one descriptor, so
// what is returned is what was checked. Throws FileError where it is a link, or not the user's
// alone.
std::optional<std::string> readPrivateFile(const std::string &path);

// Whole or not at all, whoever else writes the same: the file gets its name when it is complete.
// `mayReplace`: otherwise one that is there stays. Throws FileError.
void writePrivateFile(const std::string &path, std::string_view content, bool mayReplace = true);

// Removes files that were used longest ago until those with this ending take no more than `bytes`.
void boundFiles(const std::string &directory, std::string_view ending, uint64_t bytes);

// Of the operating system, 32 bytes that nobody can guess. Throws FileError.
std::string randomSecret();

} // namespace bifront
