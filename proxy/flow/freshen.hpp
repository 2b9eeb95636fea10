// A stored response freshened by what the upstream said of it: a 304, or the answer to a HEAD (RFC 9111 4.3.4, 4.3.5).
#pragma once

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
};

struct Freshened {
  StoredResponsePtr response;  ///< the stored body with the new fields and a new age
  bool may_keep = false;       ///< what was said may forbid what the stored response allowed
};
/// `groups`: hashes of the selectors that the new fields name, added to the stored ones.
Freshened freshen(const StoredResponse& stored, Fields fields, const Freshening& by,
                  std::span<const std::uint32_t> selectors);

}  // namespace pillion
