// Which responses are compressed, and what their heads say then. See compressible.hpp.
#include "core/compressible.hpp"

#include <algorithm>
#include <array>

#include "core/stored_response.hpp"
#include "core/validation.hpp"

namespace pillion {
namespace {

/// Types beside text/*, *+json and *+xml.
constexpr std::array<std::string_view, 22> compressible_types{"application/json",
                                                              "application/javascript",
                                                              "application/xml",
                                                              "application/x-javascript",
                                                              "application/ecmascript",
                                                              "application/ndjson",
                                                              "application/x-ndjson",
                                                              "application/jsonl",
                                                              "application/json-seq",
                                                              "application/graphql",
                                                              "application/wasm",
                                                              "application/yaml",
                                                              "application/x-yaml",
                                                              "application/toml",
                                                              "application/sql",
                                                              "application/rtf",
                                                              "application/vnd.ms-fontobject",
                                                              "font/ttf",
                                                              "font/otf",
                                                              "image/bmp",
                                                              "image/x-icon",
                                                              "image/vnd.microsoft.icon"};

bool ends_with(std::string_view text, std::string_view suffix) noexcept {
  return text.size() >= suffix.size() && iequals(text.substr(text.size() - suffix.size()), suffix);
}

bool is_compressible_type(std::string_view content_type) noexcept {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (iequals(type.substr(0, 5), "text/")) return !iequals(type, "text/event-stream");
  if (ends_with(type, "+json") || ends_with(type, "+xml")) return true;
  return std::ranges::any_of(compressible_types, [&](std::string_view known) { return iequals(known, type); });
}

/// As a member of a list: `no-transform`, whatever it is given for a value.
bool has_no_transform(const Fields& fields, Name name) noexcept {
  if (find(fields, name) == nullptr) return false;
  for (const Field& field : fields) {
    if (field.id != name) continue;
    std::string_view list = field.value;
    while (const auto member = next_member(list))
      if (iequals(trim(member->substr(0, member->find_first_of("=;"))), "no-transform")) return true;
  }
  return false;
}

/// RFC 9421: a signature may cover any field, and the body's digest.
bool is_signed(const Fields& fields) noexcept {
  constexpr std::string_view name = "signature";
  return std::ranges::any_of(fields, [&](const Field& field) {
    return field.id == Name::other && field.name.size() == name.size() && iequals(field.name, name);
  });
}

/// Says something of the plain bytes, which an encoded body doesn't consist of (RFC 9530, RFC 3230, RFC 1864).
bool is_of_plain_bytes(const Field& field) noexcept {
  switch (field.id) {
    case Name::accept_ranges:
    case Name::content_digest:
    case Name::content_length:
    case Name::content_md5:
      return true;
    default:
      return field.id == Name::other && (iequals(field.name, "repr-digest") || iequals(field.name, "digest"));
  }
}

void append_field(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

void describe_coding(const Fields& fields, ResponseMeta& meta) noexcept {
  // Those of Cache-Control are among the directives, unless a targeted field has taken their place.
  if ((meta.directives.targeted && has_no_transform(fields, Name::cache_control)) ||
      has_no_transform(fields, Name::cdn_cache_control) || has_no_transform(fields, Name::pillion_cache_control))
    meta.directives.no_transform = true;
  meta.varies_by_coding = list_has(fields, Name::vary, "accept-encoding");
  meta.compressible = false;
  if (meta.status != 200 || meta.directives.no_transform) return;
  if (count(fields, Name::content_type) != 1 || find(fields, Name::content_encoding) != nullptr) return;
  if (find(fields, Name::content_range) != nullptr) return;
  if (!is_compressible_type(find(fields, Name::content_type)->value)) return;
  meta.compressible = !is_signed(fields);
}

bool is_kept_personally(const ResponseMeta& meta, const config::Route& route) noexcept {
  return (meta.request_had_cookie && route.personal_cookies == config::Personal::key) ||
         (meta.request_had_authorization && route.personal_authorization == config::Personal::key);
}

std::string encoded_head(const StoredResponse& stored, Coding coding, std::size_t size) {
  const std::string_view head = stored.head();
  std::string out;
  out.reserve(head.size() + 96);
  out.append(head.substr(0, head.find("\r\n"))).append("\r\n");
  for (const Field& field : fields_of_head(head)) {
    if (is_of_plain_bytes(field)) continue;
    if (field.id == Name::etag && is_strong(field.value)) {
      append_field(field.name, "W/" + std::string(field.value), out);
    } else {
      append_field(field.name, field.value, out);
    }
  }
  append_field("Content-Encoding", to_string(coding), out);
  if (!stored.meta().varies_by_coding) out += vary_by_coding;
  append_field("Content-Length", std::to_string(size), out);
  return out;
}

void take_over_forms(const StoredResponse& confirmed, const StoredResponse& old) {
  if (!confirmed.meta().compressible) return;
  for (const Coding coding : {Coding::zstd, Coding::br, Coding::gzip}) {
    const EncodedForm* form = old.forms().find(coding);
    if (form == nullptr) continue;
    const std::string head = encoded_head(confirmed, coding, form->body().size());
    confirmed.forms().add(coding, EncodedForm::make(head, form->body()));
  }
}

}  // namespace pillion
