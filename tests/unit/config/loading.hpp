// Loading of texts in tests: an environment and files of their own, problems as lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/loader.hpp"
#include "unit/config/certificates.hpp"

namespace pillion::config {

/// A file with mistakes and the lines `LINE:COLUMN: message` that tell them. A text may begin with an empty line, which
/// doesn't count.
struct WrongFile {
  const char* name;
  std::string_view yaml;
  std::vector<std::string> expected;
};

/// HOST is `h.example`, EMPTY is empty, BAD is no UTF-8; nothing else is set.
inline std::optional<std::string> test_environment(const std::string& name) {
  if (name == "HOST") return "h.example";
  if (name == "EMPTY") return "";
  if (name == "BAD") return "\xff";
  return std::nullopt;
}

inline FileContent test_files(const std::string& path) {
  if (path == "/secrets/token") return {"s3cret\n", {}};
  if (path == "/secrets/two-lines") return {"a\nb\n", {}};
  if (path == "/secrets/empty") return {"\n", {}};
  if (path == "/key.pem") return {"-----BEGIN EC PRIVATE KEY-----\n", {}};
  if (path == "/ca.pem") return {"-----BEGIN CERTIFICATE-----\n", {}};
  if (path == "/tls/good.crt") return {good_certificate, {}};
  if (path == "/tls/expired.crt") return {expired_certificate, {}};
  if (path == "/tls/good.key") return {good_key, {}};
  if (path == "/tls/other.key") return {other_key, {}};
  if (path == "/tls/encrypted.key") return {"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", {}};
  return {{}, "No such file or directory"};
}

inline Loaded load(std::string_view yaml) {
  if (yaml.starts_with('\n')) yaml.remove_prefix(1);
  return load_text(yaml, test_environment, test_files);
}

/// One text, so that a failed check prints it.
inline std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

inline std::vector<std::string> lines_of(const Loaded& loaded) {
  std::vector<std::string> lines;
  for (const Problem& problem : loaded.problems) lines.push_back(format("f", problem).substr(2));
  return lines;
}

inline std::vector<std::string> errors_of(const Loaded& loaded) {
  std::vector<std::string> lines;
  for (const Problem& problem : loaded.problems) {
    if (!problem.warning) lines.push_back(format("f", problem).substr(2));
  }
  return lines;
}

}  // namespace pillion::config
