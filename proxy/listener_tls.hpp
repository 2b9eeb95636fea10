// The certificate and the key of a listener, as they stand in their files. Control thread only; for
// client_listeners.cpp.
#pragma once

#include <optional>
#include <string>

#include "config/model.hpp"
#include "net/tls_context.hpp"

namespace pillion {

class ListenerTls {
 public:
  /// Reads them. Throws std::runtime_error, one line, where they can't be used.
  explicit ListenerTls(const config::Listener& listener);

  /// For connections that come from now on; those that are there keep what they began with.
  const TlsContext& context() const noexcept { return context_; }
  /// Reads them again. Where they can't be used the old ones stay, and it is said once.
  struct Change {
    bool good = false;
    std::string text;  ///< for the log
  };
  std::optional<Change> refresh();

 private:
  struct Contents {
    std::string certificate, key;
    std::string wrong;  ///< why one can't be read
    friend bool operator==(const Contents&, const Contents&) = default;
  };
  Contents read() const;
  TlsContext make(const Contents& contents) const;

  const std::string address_;
  const config::Listener::Tls files_;
  Contents seen_;  // last, usable or not
  TlsContext context_;
};

}  // namespace pillion
