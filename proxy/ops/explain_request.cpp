// A request made by hand from a command line or an admin query: checked as one from the wire would be.
#include "ops/explain.hpp"

namespace pillion {
namespace {

constexpr std::size_t max_target = 64u << 10;
constexpr std::size_t max_headers = 200;

bool is_target(std::string_view target) {
  if (target.empty() || target.front() != '/' || target.size() > max_target) return false;
  for (unsigned char c : target)
    if (c <= 0x20 || c >= 0x7f || c == '#') return false;
  return true;
}

/// uri-host [":" port] by its characters (RFC 3986 3.2.2), no user.
bool is_authority(std::string_view host) {
  if (host.empty() || host.size() > 255) return false;
  for (unsigned char c : host)
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
          std::string_view("-._~%!$&'()*+,;=:[]").find(static_cast<char>(c)) != std::string_view::npos))
      return false;
  return true;
}

/// Cuts `http://host` off an absolute URL. False where the URL is not one of http or https.
bool cut_authority(std::string_view& target, std::string& scheme, std::string& host) {
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return false;
  for (const char* known : {"http", "https"})
    if (iequals(target.substr(0, colon), known)) scheme = known;
  if (scheme.empty()) return false;
  target.remove_prefix(colon + 3);
  const std::size_t end = std::min(target.find_first_of("/?"), target.size());
  host = target.substr(0, end);
  target.remove_prefix(end);
  return true;
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
  request.method_ = method;

  std::string url_host, url_scheme;
  if (!target.starts_with('/') && !cut_authority(target, url_scheme, url_host))
    return refuse("the URL must be a path that begins with `/`, or begin with http:// or https://");
  request.target_ = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
  if (!is_target(request.target_))
    return refuse("the URL has a space, a `#`, a control character or one outside ASCII: percent-encode it");

  if (headers.size() > max_headers) return refuse("over 200 headers");
  request.host_ = canonical_host.empty() ? "localhost" : std::string(canonical_host);
  request.scheme_ = "http";
  std::string forwarded_host;
  for (const auto& [name, raw] : headers) {
    const std::string value(trim(raw));
    if (!is_token(name) || !is_field_value(value))
      return refuse("a header must be `Name: value` in one line, got `" + name.substr(0, 100) + "`");
    const Name id = name_of(name);
    if (id == Name::host) request.host_ = value;
    if (id == Name::x_forwarded_host) forwarded_host = value;
    if (id == Name::x_forwarded_proto && (value == "http" || value == "https")) request.scheme_ = value;
    request.headers_.emplace_back(name, value);
  }
  if (!forwarded_host.empty()) request.host_ = forwarded_host;
  if (!url_scheme.empty()) {
    request.host_ = url_host;
    request.scheme_ = url_scheme;
  }
  if (!is_authority(request.host_)) return refuse("`" + request.host_.substr(0, 100) + "` is not a host");
  return request;
}

RequestHead ExplainedRequest::head() const {
  fields_.clear();
  for (const auto& [name, value] : headers_) fields_.push_back({name, value, name_of(name)});
  RequestHead head;
  head.method = method_of(method_);
  head.method_name = method_;
  head.target = target_;
  const std::size_t question = target_.find('?');
  head.has_query = question != std::string::npos;
  head.path = head.target.substr(0, question);
  if (head.has_query) head.query = head.target.substr(question + 1);
  head.host = host_;
  head.scheme = scheme_;
  head.fields = fields_;
  return head;
}

}  // namespace pillion
