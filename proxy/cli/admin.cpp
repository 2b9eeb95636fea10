#include "cli/admin.hpp"

#include <boost/json/parse.hpp>
#include <cstdlib>

#include "cli/commands.hpp"
#include "cli/http_client.hpp"
#include "config/loader.hpp"
#include "core/headers.hpp"

namespace pillion::cli {

namespace json = boost::json;

namespace {

/// A file's last line end is no part of the token.
std::string trim_lines(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return std::string(trim(text));
}

}  // namespace

bool read_token(const std::string& file, std::string& token) {
  if (!file.empty()) {
    config::FileContent content = config::read_small_file(file);
    if (!content.text) {
      say_error(file + ": " + content.error);
      return false;
    }
    token = trim_lines(*content.text);
  } else if (const char* set = std::getenv("PILLION_TOKEN")) {
    token = set;
  }
  if (is_field_value(token)) return true;
  say_error("the token has a line feed or a control character inside");
  return false;
}

bool prepare(const AdminTarget& target, config::Address& address, HttpRequest& request) {
  const ParsedUrl admin = parse_server_url(target.url);
  if (!admin.error.empty()) {
    say_error(admin.error);
    return false;
  }
  address = admin.address;
  std::string token;
  if (!read_token(target.token_file, token)) return false;
  if (!token.empty()) request.headers.emplace_back("Authorization", "Bearer " + token);
  return true;
}

void say_refusal(const AdminTarget& target, const HttpAnswer& answer) {
  if (answer.status == 0) return say_error(answer.error + ": name the proxy's admin address with --admin");
  boost::system::error_code error;
  const json::value parsed = json::parse(answer.body, error);
  const json::object* object = error ? nullptr : parsed.if_object();
  if (!object)
    return say_error(target.url + " answered " + std::to_string(answer.status) + ": is that Pillion's admin address?");
  const json::value* why = object->if_contains("error");
  say_error("refused with " + std::to_string(answer.status) + ": " +
            (why && why->is_string() ? std::string(why->get_string()) : std::string()) +
            (answer.status == 401 ? "; give --token-file or set PILLION_TOKEN" : ""));
}

int ask_admin(const AdminTarget& target, std::string_view method, std::string_view path, std::string_view body,
              json::object& answer) {
  config::Address address;
  HttpRequest request;
  request.method = method;
  request.target = path;
  if (!body.empty()) {
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = body;
  }
  if (!prepare(target, address, request)) return 2;
  const HttpAnswer came = fetch(address, request);
  boost::system::error_code error;
  json::value parsed = came.status == 200 ? json::parse(came.body, error) : json::value();
  if (!parsed.is_object()) {
    say_refusal(target, came);
    return 1;
  }
  answer = std::move(parsed.get_object());
  return 0;
}

std::string percent_encoded(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += static_cast<char>(c);
    } else {
      out.append({'%', digits[c >> 4], digits[c & 15]});
    }
  }
  return out;
}

}  // namespace pillion::cli
