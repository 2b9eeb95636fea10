// A stored response freshened by what the upstream said of it: a 304, or the answer to a HEAD (RFC 9111 4.3.4, 4.3.5).
#pragma once

#include <optional>

#include "core/message.hpp"
#include "core/storability.hpp"
#include "core/stored_response.hpp"
#include "flow/context.hpp"

namespace pillion {

/// The exchange that freshens: when its request was sent, and what it began with.
struct Freshening {
  Now asked;
  Fence fence;
  RequestFacts facts;
  const config::Route* route = nullptr;
  std::string_view scheme, host;
  /// How many requests the stored response has answered, where it came back identical: what `adaptive` learns from.
  std::optional<std::uint64_t> requests;
};

struct Freshened {
  StoredResponsePtr response;  ///< the stored body with the new fields and a new age; where it may be kept, its
                               ///< encoded forms too
  /// It may be stored where it stood. What was said may forbid what the stored response allowed, name more tags than
  /// can be kept, or vary by other fields or parts of the query than before: then it would stand elsewhere.
  bool may_keep = false;
};
Freshened freshen(const StoredResponse& stored, Fields said, const Freshening& by);

}  // namespace pillion
