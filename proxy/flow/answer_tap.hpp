// Who looks at an answer while it is passed on (flow/forwarder.hpp), and changes nothing of it. Worker-local.
#pragma once

#include <string_view>

#include "core/reasons.hpp"
#include "net/upstream_connection.hpp"

namespace pillion {

class AnswerTap {
 public:
  virtual ~AnswerTap() = default;
  /// The final head; `status` may still be told what becomes of it.
  virtual void head(UpstreamConnection& connection, CacheStatus& status) = 0;
  /// A piece of the body, empty at its end.
  virtual void body(std::string_view data) = 0;
  /// The body was whole. Awaited before the client gets the last of it; not called where it broke off.
  virtual awaitable<void> end() = 0;
};

}  // namespace pillion
