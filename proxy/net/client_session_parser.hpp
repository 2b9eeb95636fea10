// The parser of a client session, apart because it is costly to include. For client_session.cpp and
// client_exchange.cpp.
#pragma once

#include <optional>

#include "net/client_session.hpp"
#include "net/message_parser.hpp"

namespace pillion {

struct ClientSession::Parser {
  std::optional<RequestParser> parse;  // of the message being read
};

}  // namespace pillion
