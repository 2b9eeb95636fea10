// The admin API without its sockets: a request becomes an answer. Used by admin_server and by tests; runs on the admin
// server's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "ops/control.hpp"

namespace pillion {

/// The whole API, or only what may stand open to everyone: /metrics, /healthz and /readyz without a token.
enum class AdminFlavour { full, metrics };

struct AdminRequest {
  std::string_view method, target;
  std::string_view authorization;  ///< value of the field; empty: absent
  std::string_view content_type;
  std::string_view body;
};

struct AdminResponse {
  unsigned status = 200;
  std::string body;
  std::string_view content_type = "application/json";
  std::string_view allow;     ///< value of Allow with 405
  bool authenticate = false;  ///< WWW-Authenticate: Bearer, with 401
  /// Where the answer comes piece by piece, instead of `body`: the next one each time it is awaited, empty at the end.
  std::function<boost::asio::awaitable<std::string>()> more{};
};

/// `{"error": "..."}`.
AdminResponse admin_error(unsigned status, std::string_view text);

/// Never throws but for the executor's end; views in `request` live until it completes. A HEAD is answered as its GET,
/// body included: the sender leaves it out.
boost::asio::awaitable<AdminResponse> answer_admin(Control& control, AdminFlavour flavour, AdminRequest request);

/// Whether `Authorization: Bearer TOKEN` carries the token. Takes the same time wherever the two differ.
bool is_authorised(std::string_view authorization, std::string_view token);

}  // namespace pillion
