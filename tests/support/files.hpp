// Temporary folders and whole files. For tests; any thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pillion::support {

/// A folder under the system's temporary one, removed with everything in it when this goes.
class TempDir {
 public:
  /// In memory, where the system has such a place: for servers that wait for the disk whenever they change a file.
  enum class In { temporary, memory };
  explicit TempDir(In in = In::temporary);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }
  /// Writes a file (its folders are made) and returns its whole path.
  std::string write(std::string_view name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

/// Throws std::runtime_error where the file can't be read.
std::string read_file(const std::string& path);
/// Replaces the content in place. Throws std::runtime_error.
void write_file(const std::string& path, std::string_view content);

}  // namespace pillion::support
