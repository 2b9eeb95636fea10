// What becomes of a URL that is to be warmed. Plain values.
#pragma once

#include <cstdint>
#include <string>

#include "core/reasons.hpp"
#include "core/warm_list.hpp"

namespace pillion {

/// What became of it.
struct Warmed {
  WarmResult result = WarmResult::failed;
  std::string reason;       ///< a word of core/reasons.hpp, or a sentence; empty where there is nothing to say
  unsigned status = 0;      ///< of the upstream's answer; 0: it wasn't asked, or didn't answer
  std::uint64_t bytes = 0;  ///< of the body, where it is known
  std::uint64_t us = 0;     ///< it took so long
  bool again = false;       ///< another try a moment later may go better: nothing usable came from the upstream
  bool busy = false;        ///< likewise: it has as many requests as it may have
};

/// A URL and what became of it.
struct WarmedUrl {
  WarmTarget target;
  Warmed warmed;
};

}  // namespace pillion
