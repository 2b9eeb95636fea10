// Conditional requests, ours and the clients'. See validation.hpp.
#include "core/validation.hpp"

#include <algorithm>
#include <charconv>

#include "core/http_date.hpp"

namespace pillion {
namespace {

constexpr std::string_view crlf = "\r\n";

/// Length of the entity tag that the text begins with (RFC 9110 8.8.3), or 0. There are no escapes in it: a backslash
/// is a character like others.
std::size_t entity_tag_length(std::string_view text) noexcept {
  std::size_t i = text.starts_with("W/") ? 2 : 0;
  if (i >= text.size() || text[i] != '"') return 0;
  for (++i; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"') return i + 1;
    if (byte <= 0x20 || byte == 0x7f) return 0;
  }
  return 0;
}

bool is_entity_tag(std::string_view text) noexcept { return !text.empty() && entity_tag_length(text) == text.size(); }

/// The quoted part: what weak comparison looks at (RFC 9110 8.8.3.2).
std::string_view opaque_part(std::string_view etag) noexcept { return etag.starts_with("W/") ? etag.substr(2) : etag; }

/// One line of If-None-Match.
bool line_names(std::string_view line, std::string_view etag) noexcept {
  for (;;) {
    while (!line.empty() && (line.front() == ',' || line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    const std::size_t length = entity_tag_length(line);
    if (length == 0) return false;
    const std::string_view tag = line.substr(0, length);
    line = trim(line.substr(length));
    if (!line.empty() && line.front() != ',') return false;
    if (opaque_part(tag) == opaque_part(etag)) return true;
  }
}

/// Of a 304, or of the answer to a HEAD: fields of the stored response that its own don't replace (RFC 9111 3.2).
bool is_kept(const Field& field, Fields not_modified) noexcept {
  switch (field.id) {
    case Name::content_length:  // they describe the body that is stored
    case Name::content_encoding:
    case Name::content_type:
    case Name::content_range:
    case Name::content_md5:
    case Name::content_digest:
    case Name::etag:
    case Name::age:  // written anew into each answer
    case Name::cache_status:
    case Name::set_cookie:  // for the one client
      return true;
    default:
      return is_hop_by_hop(field.id) || is_connection_nominated(not_modified, field.name);
  }
}

/// Whether the one entity tag of a newer message about it is that of the stored response.
bool etag_agrees(const StoredResponse& stored, Fields newer) noexcept {
  const std::string_view etag = entity_tag_of(newer);
  if (etag.empty() || !is_entity_tag(stored.etag())) return false;
  return is_strong(etag) ? etag == stored.etag() : opaque_part(etag) == opaque_part(stored.etag());
}

bool last_modified_agrees(const StoredResponse& stored, Fields newer) noexcept {
  if (count(newer, Name::last_modified) != 1 || stored.meta().last_modified_s < 0) return false;
  const auto date = parse_http_date(find(newer, Name::last_modified)->value, stored.meta().received_wall_ms / 1000);
  return date && *date == stored.meta().last_modified_s;
}

bool length_agrees(const StoredResponse& stored, Fields newer) noexcept {
  if (count(newer, Name::content_length) != 1) return false;
  const std::string_view text = find(newer, Name::content_length)->value;
  std::uint64_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  return error == std::errc{} && end == text.data() + text.size() && length == stored.body().size();
}

void append_field(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ").append(value).append(crlf);
}

/// Calls `use` with each line after the status line, without its CRLF.
template <typename Use>
void for_each_field_line(std::string_view head, Use use) {
  std::size_t begin = head.find(crlf);
  while (begin != std::string_view::npos) {
    begin += crlf.size();
    const std::size_t end = head.find(crlf, begin);
    use(head.substr(begin, end == std::string_view::npos ? end : end - begin));
    begin = end;
  }
}

}  // namespace

std::string_view entity_tag_of(Fields response_fields) noexcept {
  if (count(response_fields, Name::etag) != 1) return {};
  const std::string_view etag = find(response_fields, Name::etag)->value;
  return is_entity_tag(etag) ? etag : std::string_view{};
}

bool is_strong(std::string_view etag) noexcept { return etag.starts_with('"'); }

bool etag_matches_weakly(Fields request_fields, std::string_view etag) noexcept {
  const bool alone = count(request_fields, Name::if_none_match) == 1;
  for (const Field& field : request_fields) {
    if (field.id != Name::if_none_match) continue;
    if (alone && field.value == "*") return true;  // RFC 9110 13.1.2: there is a current representation
    if (line_names(field.value, etag)) return true;
  }
  return false;
}

bool client_has_it(Fields request_fields, std::string_view etag, std::int64_t last_modified_s, std::int64_t date_s,
                   std::int64_t now_s) noexcept {
  // RFC 9110 13.2.2: If-Modified-Since counts only where there is no If-None-Match.
  if (find(request_fields, Name::if_none_match) != nullptr) return etag_matches_weakly(request_fields, etag);
  if (count(request_fields, Name::if_modified_since) != 1) return false;
  const auto since = parse_http_date(find(request_fields, Name::if_modified_since)->value, now_s);
  if (!since) return false;
  return last_modified_s >= 0 ? last_modified_s <= *since : date_s < *since;
}

bool has_write_precondition(Fields request_fields) noexcept {
  return find(request_fields, Name::if_match) || find(request_fields, Name::if_unmodified_since);
}

bool has_client_condition(Fields request_fields) noexcept {
  return find(request_fields, Name::if_none_match) || find(request_fields, Name::if_modified_since);
}

bool is_client_condition(Name id) noexcept {
  switch (id) {
    case Name::if_match:
    case Name::if_none_match:
    case Name::if_modified_since:
    case Name::if_unmodified_since:
    case Name::if_range:
    case Name::range:
      return true;
    default:
      return false;
  }
}

// RFC 9111 4.3.1: every validator there is.
std::string validation_fields(const StoredResponse& stored, bool strong_only) {
  std::string out;
  if (is_entity_tag(stored.etag())) append_field("If-None-Match", stored.etag(), out);
  if (stored.meta().last_modified_s >= 0 && !strong_only) {
    char date[http_date_size];
    write_http_date(stored.meta().last_modified_s, date);
    append_field("If-Modified-Since", {date, http_date_size}, out);
  }
  return out;
}

std::string freshened_head(const StoredResponse& stored, Fields not_modified) {
  const std::string_view head = stored.head();
  std::vector<Field> updates;
  for (const Field& field : not_modified)
    if (!is_kept(field, not_modified) && is_token(field.name) && is_field_value(field.value)) updates.push_back(field);

  std::string out;
  out.reserve(head.size() + 256);
  out.append(head.substr(0, head.find(crlf))).append(crlf);
  for (const Field& field : fields_of_head(head)) {
    const bool replaced = field.id == Name::other ? find(updates, field.name) : find(updates, field.id);
    if (!replaced && field.id != Name::date) append_field(field.name, field.value, out);
  }
  for (const Field& field : updates) append_field(field.name, field.value, out);
  return out;
}

bool speaks_of(const StoredResponse& stored, Fields not_modified) noexcept {
  if (find(not_modified, Name::etag) != nullptr) return etag_agrees(stored, not_modified);
  if (find(not_modified, Name::last_modified) != nullptr) return last_modified_agrees(stored, not_modified);
  return true;
}

bool same_strong_validator(const StoredResponse& stored, Fields not_modified) noexcept {
  const std::string_view etag = entity_tag_of(not_modified);
  return is_strong(etag) && etag == stored.etag();
}

HeadEffect effect_of_head(const StoredResponse& stored, const ResponseHead& head) noexcept {
  const unsigned status = head.status;
  if (status != stored.meta().status) {
    if (status == 206 || status == 304) return HeadEffect::none;
    const bool of_the_resource = (status >= 200 && status < 400) || status == 404 || status == 410;
    return of_the_resource ? HeadEffect::outdated : HeadEffect::none;
  }
  if (status != 200) return HeadEffect::none;
  // Silence agrees with nothing: what has validators is confirmed by one of them, else by its length.
  const bool tells = stored.meta().has_validator
                         ? find(head.fields, Name::etag) || find(head.fields, Name::last_modified)
                         : find(head.fields, Name::content_length) != nullptr;
  const bool agrees = (!find(head.fields, Name::content_length) || length_agrees(stored, head.fields)) &&
                      (!find(head.fields, Name::etag) || etag_agrees(stored, head.fields)) &&
                      (!find(head.fields, Name::last_modified) || last_modified_agrees(stored, head.fields));
  if (!agrees) return HeadEffect::outdated;
  return tells ? HeadEffect::freshen : HeadEffect::none;
}

std::vector<Field> fields_of_head(std::string_view head) {
  std::vector<Field> fields;
  for_each_field_line(head, [&](std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string_view name = line.substr(0, colon);
    if (is_token(name)) fields.push_back({name, trim(line.substr(colon + 1)), name_of(name)});
  });
  return fields;
}

}  // namespace pillion
