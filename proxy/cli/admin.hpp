// What the commands that ask a running proxy share.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "cli/http_client.hpp"

namespace pillion::cli {

struct AdminTarget {
  std::string url;         ///< http:// or unix:
  std::string token_file;  ///< empty: $PILLION_TOKEN, if it is set
};

/// The address and the Authorization field of a request there. False after saying what is wrong, which is wrong usage.
bool prepare(const AdminTarget& target, config::Address& address, HttpRequest& request);
/// Says what is wrong with an answer that isn't 200, or that there was none.
void say_refusal(const AdminTarget& target, const HttpAnswer& answer);

/// Sends one request to the admin address; `body`, where it isn't empty, as JSON. 0 and the answer's object; else what
/// is wrong has been said, and the exit code comes back.
int ask_admin(const AdminTarget& target, std::string_view method, std::string_view path, std::string_view body,
              boost::json::object& answer);

/// From --token-file, else PILLION_TOKEN, else empty. False after saying what is wrong.
bool read_token(const std::string& file, std::string& token);

/// For a query's value.
std::string percent_encoded(std::string_view text);

}  // namespace pillion::cli
