#include "flow/compose.hpp"

#include <algorithm>

#include "core/accept.hpp"
#include "core/http_date.hpp"
#include "core/validation.hpp"
#include "net/effective_request.hpp"

namespace pillion {

namespace {

void append_field(std::string_view name, std::string_view value, std::string& out) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

std::string_view host_to_send(const RequestToSend& r) {
  if (r.upstream->send_own_host) return r.upstream->authority;
  if (r.shared && r.route->settings.ignore_host)
    return r.canonical_host.empty() ? r.upstream->authority : r.canonical_host;
  return r.head->host.empty() ? std::string_view(r.upstream->authority) : r.head->host;
}

// Cookies that the route keys on; the others could colour a shared answer.
void append_keyed_cookies(Fields fields, const std::vector<std::string>& names, std::string& out) {
  std::string kept;
  for (const Field& field : fields) {
    if (field.id != Name::cookie) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const auto end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = trim(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const std::string_view name = pair.substr(0, pair.find('='));
      if (std::find(names.begin(), names.end(), name) == names.end()) continue;
      if (!kept.empty()) kept += "; ";
      kept += pair;
    }
  }
  if (!kept.empty()) append_field("Cookie", kept, out);
}

// Fields that this proxy writes itself, or that concern the client's connection alone.
bool is_rewritten(const RequestToSend& r, const Field& field) {
  switch (field.id) {
    case Name::host:
    case Name::content_length:
    case Name::transfer_encoding:
    case Name::te:
    case Name::trailer:
    case Name::upgrade:
    case Name::x_request_id:
      return true;
    case Name::expect:
      return r.framing == Framing::none;
    case Name::accept_encoding:  // as the key has it
      return r.shared;
    case Name::accept_language:
      return r.shared && !r.route->settings.accept_language.empty();
    case Name::x_forwarded_for:
      return r.route->settings.forwarded && !r.peer_address.empty();
    case Name::x_forwarded_proto:
    case Name::x_forwarded_host:
      return r.route->settings.forwarded;
    case Name::forwarded:
      // Says what the three above say, and is in no key.
      return r.shared && r.route->settings.forwarded;
    case Name::cookie:
      return r.shared && r.route->settings.personal_cookies != config::Personal::careful;
    case Name::authorization:
      return r.shared && r.route->settings.personal_authorization == config::Personal::ignore;
    default:
      return r.shared && is_client_condition(field.id);
  }
}

// One hop less (RFC 9110 7.6.2); 0 comes no further than the client's session. No number is nobody's: it goes on as it
// is.
void append_max_forwards(const Field& field, std::string& out) {
  const auto hops = parse_max_forwards(field.value);
  append_field(field.name, hops && *hops > 0 ? std::to_string(*hops - 1) : std::string(field.value), out);
}

// What the client accepts, in the one spelling that selects the variant (core/accept.hpp).
void append_accepted(const RequestToSend& r, std::string& out) {
  const auto encoding = normalised_accept_encoding(r.head->fields);
  if (encoding) append_field("Accept-Encoding", *encoding, out);
  if (r.route->settings.accept_language.empty()) return;
  const auto language = normalised_accept_language(r.head->fields, r.route->settings.accept_language);
  if (language) append_field("Accept-Language", *language, out);
}

void append_forwarded(const RequestToSend& r, std::string& out) {
  const RequestHead& head = *r.head;
  if (!r.route->settings.forwarded) return;
  append_field("Via", head.minor == 0 ? "1.0 pillion" : "1.1 pillion", out);
  if (!r.peer_address.empty()) {
    std::string chain;
    for (const Field& field : head.fields) {
      if (field.id == Name::x_forwarded_for && !field.value.empty()) chain.append(field.value).append(", ");
    }
    append_field("X-Forwarded-For", chain.append(r.peer_address), out);
  }
  append_field("X-Forwarded-Proto", head.scheme, out);
  const bool hostless = r.shared && r.route->settings.ignore_host;
  const std::string_view host = hostless ? host_to_send(r) : head.host;
  if (!host.empty()) append_field("X-Forwarded-Host", host, out);
}

// The upgrade protocols that may pass: h2c would open a second protocol inside this one, past every rule.
std::string upgrade_protocols(Fields fields) {
  std::string kept;
  for (const Field& field : fields) {
    if (field.id != Name::upgrade) continue;
    std::string_view list = field.value;
    while (const auto member = next_member(list)) {
      if (iequals(*member, "h2c")) continue;
      if (!kept.empty()) kept += ", ";
      kept += *member;
    }
  }
  return kept;
}

}  // namespace

std::string compose_request(const RequestToSend& r) {
  const RequestHead& head = *r.head;
  std::string out;
  out.reserve(1024);
  out.append(head.method_name).append(" ").append(r.target).append(" HTTP/1.1\r\n");
  append_field("Host", host_to_send(r), out);
  const bool has_connection = find(head.fields, Name::connection) != nullptr;
  const auto& own = r.upstream->request_headers;
  for (const Field& field : head.fields) {
    if (is_hop_by_hop(field.id) || is_rewritten(r, field)) continue;
    if (has_connection && is_connection_nominated(head.fields, field.name)) continue;
    if (std::any_of(own.begin(), own.end(), [&](const auto& h) { return iequals(h.name, field.name); })) continue;
    if (field.id == Name::max_forwards && head.method == Method::options) {
      append_max_forwards(field, out);
      continue;
    }
    append_field(field.name, field.value, out);
  }
  for (const auto& header : own) append_field(header.name, header.value, out);
  if (r.shared && r.route->settings.personal_cookies == config::Personal::key) {
    append_keyed_cookies(head.fields, r.route->settings.personal_cookie_names, out);
  }
  if (r.shared) append_accepted(r, out);
  append_forwarded(r, out);
  append_field("X-Request-Id", r.request_id, out);
  out += r.validators;
  if (r.framing == Framing::chunked) append_field("Transfer-Encoding", "chunked", out);
  if (r.framing == Framing::length) append_length(r.length, out);
  const bool trailers = list_has(head.fields, Name::te, "trailers");
  if (trailers) append_field("TE", "trailers", out);
  if (trailers && !r.upgrade) append_field("Connection", "TE", out);
  if (r.upgrade) {
    append_field("Connection", trailers ? "upgrade, TE" : "upgrade", out);
    append_field("Upgrade", upgrade_protocols(head.fields), out);
  }
  out += "\r\n";
  return out;
}

void append_response_head(const ResponseHead& head, bool for_store, std::string& out) {
  out += "HTTP/1.1 ";
  out += std::to_string(head.status);
  out += ' ';
  out += head.reason;
  out += "\r\n";
  const bool has_connection = find(head.fields, Name::connection) != nullptr;
  for (const Field& field : head.fields) {
    switch (field.id) {
      case Name::content_length:
      case Name::transfer_encoding:
      case Name::trailer:
      case Name::pillion_cache_control:  // for this proxy alone
      case Name::surrogate_key:
      case Name::cache_tag:
        continue;
      case Name::upgrade:
        if (head.status != 426) continue;
        break;
      case Name::age:
      case Name::cache_status:
      case Name::set_cookie:
        if (for_store) continue;
        break;
      default:
        if (is_hop_by_hop(field.id)) continue;
    }
    if (has_connection && is_connection_nominated(head.fields, field.name)) continue;
    append_field(field.name, field.value, out);
  }
}

void append_set_cookies(Fields fields, std::string& out) {
  for (const Field& field : fields) {
    if (field.id == Name::set_cookie) append_field(field.name, field.value, out);
  }
}

void append_upstream_cache_status(Fields fields, std::string& out) {
  for (const Field& field : fields) {
    if (field.id == Name::cache_status) append_field(field.name, field.value, out);
  }
}

void append_missing_date(Fields fields, std::int64_t now_s, std::string& out) {
  if (find(fields, Name::date)) return;
  char date[http_date_size];
  write_http_date(now_s, date);
  append_field("Date", {date, sizeof date}, out);
}

void append_length(std::uint64_t length, std::string& out) {
  append_field("Content-Length", std::to_string(length), out);
}

void append_without_set_cookie(std::string_view stored_head, std::string& out) {
  out += stored_head.substr(0, stored_head.find('\n') + 1);
  for (const Field& field : fields_of_head(stored_head)) {
    if (field.id != Name::set_cookie) append_field(field.name, field.value, out);
  }
}

void append_partial_head(std::string_view stored_head, bool without_set_cookie, std::string_view content_type,
                         std::string_view content_range, std::uint64_t length, std::string& out) {
  out += "HTTP/1.1 206 Partial Content\r\n";
  for (const Field& field : fields_of_head(stored_head)) {
    if (field.id == Name::content_length || field.id == Name::content_range) continue;
    if (field.id == Name::set_cookie && without_set_cookie) continue;
    if (field.id == Name::content_type && !content_type.empty()) continue;
    append_field(field.name, field.value, out);
  }
  if (!content_type.empty()) append_field("Content-Type", content_type, out);
  if (!content_range.empty()) append_field("Content-Range", content_range, out);
  append_length(length, out);
}

void append_unsatisfied_head(std::string_view stored_head, std::string_view content_range, std::string& out) {
  out += "HTTP/1.1 416 Range Not Satisfiable\r\n";
  for (const Field& field : fields_of_head(stored_head)) {
    const bool kept = field.id == Name::date || field.id == Name::accept_ranges || field.id == Name::vary;
    if (kept) append_field(field.name, field.value, out);
  }
  append_field("Content-Range", content_range, out);
  append_length(0, out);
}

std::string_view content_type_of(std::string_view stored_head) {
  const std::vector<Field> fields = fields_of_head(stored_head);
  const Field* type = find(Fields(fields), Name::content_type);
  return type ? type->value : std::string_view{};
}

bool refuses_ranges(std::string_view stored_head) {
  const std::vector<Field> fields = fields_of_head(stored_head);
  return list_has(Fields(fields), Name::accept_ranges, "none");
}

void append_not_modified_head(std::string_view stored_head, std::string& out) {
  out += "HTTP/1.1 304 Not Modified\r\n";
  for (const Field& field : fields_of_head(stored_head)) {
    switch (field.id) {
      case Name::cache_control:
      case Name::cdn_cache_control:
      case Name::content_location:
      case Name::date:
      case Name::etag:
      case Name::expires:
      case Name::last_modified:
      case Name::vary:
        append_field(field.name, field.value, out);
        break;
      default:
        break;
    }
  }
}

bool is_event_stream(Fields response_fields) noexcept {
  const Field* type = find(response_fields, Name::content_type);
  return type && iequals(trim(type->value.substr(0, type->value.find(';'))), "text/event-stream");
}

bool is_sane_request_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_.:/+=@").find(c) != std::string_view::npos;
  });
}

}  // namespace pillion
