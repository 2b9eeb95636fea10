// What `check` says of certificates and keys in PEM form. Pure but for the clock. Used inside config only.
#pragma once

#include <string>
#include <string_view>

namespace pillion::config {

/// Empty where there is nothing to say; else how a sentence goes on that begins with the file's name.
struct CertificateProblem {
  std::string wrong;
  std::string doubtful;  ///< it can be used, and clients won't like it
};
/// The first certificate of a text is that of the server.
CertificateProblem check_certificate(std::string_view pem);
std::string check_private_key(std::string_view pem);
/// Both have passed the checks above.
bool fit_together(std::string_view certificate, std::string_view key);

}  // namespace pillion::config
