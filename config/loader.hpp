// proxy.yaml becomes a Config, or a list of what is wrong with it. Pure but for load_file: files and the environment
// come in as functions. Nothing here throws on bad input. Called by the commands, the reload and the tests.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"

namespace pillion::config {

/// One thing wrong (or, as a warning, doubtful) in a file: one line for the user.
struct Problem {
  int line = 1;    ///< 1-based
  int column = 1;  ///< 1-based, in bytes
  std::string message;
  bool warning = false;
  friend bool operator==(const Problem&, const Problem&) = default;
};

/// `config` is set exactly where no problem is an error. Problems are sorted by position.
struct Loaded {
  std::optional<Config> config;
  std::vector<Problem> problems;
};

/// The value of an environment variable, or nullopt where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// The bytes of a file (secrets, certificates), or why they could not be read.
struct FileContent {
  std::optional<std::string> text;
  std::string error;  ///< such as `No such file or directory`, where text is not set
};
using FileReader = std::function<FileContent(const std::string& path)>;

/// Most bytes of a configuration file or of a secret's file.
inline constexpr std::size_t max_file_size = 1u << 20;

/// Reads the text of a proxy.yaml. `read_file` is asked for token_file, password_file, header files, certificates and
/// keys; their relative paths count from the working directory.
Loaded load_text(std::string_view yaml, const Environment& env, const FileReader& read_file);

/// The same from a file, with the process's environment. A file that can't be read is a Problem at 1:1.
Loaded load_file(const std::string& path);

/// What `serve --upstream URL` runs without a file: one route `all` for `/**`, in memory (and `redis`, a URL, where
/// given), explicit lifetimes only unless `ttl` (a duration) is given. Empty means not given. A problem's message
/// begins with the option it speaks of; its position means nothing.
Loaded default_config(std::string_view upstream_url, std::string_view listen = {}, std::string_view admin = {},
                      std::string_view redis = {}, std::string_view ttl = {});

/// `FILE:LINE:COLUMN: message`; a warning's message begins with `warning: `.
std::string format(const std::string& file, const Problem& problem);

/// A secret's file: one line, its end cut off. Else what is wrong with it, in words that begin with its path.
struct Secret {
  std::optional<std::string> text;
  std::string wrong;
};
Secret secret_in(const std::string& path, const FileContent& content);
/// What Upstream::tls_ca_stamp is for such contents.
std::uint64_t stamp_of(std::string_view certificates);

/// The bytes of a regular file, at most max_file_size. What load_file passes as FileReader.
FileContent read_small_file(const std::string& path);

}  // namespace pillion::config
