// The parser of a client session, apart because it is costly to include. For client_*.cpp.
#pragma once

#include <optional>

#include "net/client_workspace.hpp"
#include "net/message_parser.hpp"

namespace pillion {

struct ClientParser {
  std::optional<RequestParser> parse;  // of the message being read
};

}  // namespace pillion
