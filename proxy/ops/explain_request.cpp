// A request made by hand from a command line or an admin query, read as one from the wire is.
#include <algorithm>

#include "net/effective_request.hpp"
#include "ops/explain.hpp"

namespace pillion {
namespace {

constexpr std::size_t max_target = 64u << 10;
constexpr std::size_t max_headers = 200;

bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::optional<ExplainedRequest> ExplainedRequest::make(std::string_view method, std::string_view target,
                                                       const std::vector<std::pair<std::string, std::string>>& headers,
                                                       std::string_view canonical_host, std::string& error) {
  ExplainedRequest request;
  const auto refuse = [&error](std::string text) {
    error = std::move(text);
    return std::nullopt;
  };
  if (!is_token(method)) return refuse("the method must be a word such as GET");
  if (target.empty()) return refuse("the URL is empty: give a path such as /api/status");
  if (target.size() > max_target || !is_visible_ascii(target))
    return refuse(
        "the URL is over 64 KiB, or has a space, a control character or one outside ASCII: percent-encode it");
  request.method_ = method;
  request.target_ = target;

  if (headers.size() > max_headers) return refuse("over 200 headers");
  bool has_host = false;
  for (const auto& [name, raw] : headers) {
    const std::string value(trim(raw));
    if (!is_token(name) || !is_field_value(value))
      return refuse("a header must be `Name: value` in one line, got `" + name.substr(0, 100) + "`");
    has_host = has_host || name_of(name) == Name::host;
    request.headers_.emplace_back(name, value);
  }
  if (!has_host)
    request.headers_.emplace_back("Host", canonical_host.empty() ? "localhost" : std::string(canonical_host));
  std::vector<Field> fields;
  RequestHead head;
  if (const Refusal refusal = request.read(fields, head))
    return refuse("such a request gets " + std::to_string(refusal.status) + ": " + std::string(refusal.why));
  return request;
}

Refusal ExplainedRequest::read(std::vector<Field>& fields, RequestHead& head) const {
  fields.clear();
  for (const auto& [name, value] : headers_) fields.push_back({name, value, name_of(name)});
  return make_effective({method_, target_, 1, fields, secure_}, true, head);
}

RequestHead ExplainedRequest::head() const {
  RequestHead head;
  read(fields_, head);
  return head;
}

}  // namespace pillion
