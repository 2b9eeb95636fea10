// Heads written anew: what goes to the upstream, what is kept of its answer. No byte of a received head is copied
// through as it stands; every field passes here. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "core/message.hpp"
#include "core/route_table.hpp"
#include "core/stored_response.hpp"

namespace pillion {

struct RequestToSend {
  const RequestHead* head = nullptr;
  const CompiledRoute* route = nullptr;
  const config::Upstream* upstream = nullptr;
  std::string_view target;          ///< after rewrite and query rule
  std::string_view canonical_host;  ///< sent instead of the client's where the key leaves the host out
  std::string_view peer_address;    ///< appended to X-Forwarded-For
  bool peer_trusted = false;
  std::string_view request_id;
  bool shared = false;  ///< the answer may be stored: conditions and ranges of the client, and what the key leaves out,
                        ///< stay behind
  bool upgrade = false;         ///< Connection: upgrade goes along
  std::string_view validators;  ///< lines of core/validation.hpp's validation_fields()
  Framing framing = Framing::none;
  std::uint64_t length = 0;
};

/// Request line and fields with the empty line.
std::string compose_request(const RequestToSend& request);

/// Status line and end-to-end fields of an answer, each ended by CRLF, without Content-Length (put it with put_length),
/// Transfer-Encoding, Pillion-Cache-Control, Surrogate-Key and Cache-Tag. `for_store` leaves out Age, Cache-Status and
/// Set-Cookie too (append_set_cookies() gives these back where wanted).
void append_response_head(const ResponseHead& head, bool for_store, std::string& out);
void append_set_cookies(Fields fields, std::string& out);
/// What caches nearer to the origin said of this exchange (RFC 9211 2: their members stand before ours).
void append_upstream_cache_status(Fields fields, std::string& out);
/// `Date: ...` where the upstream sent none (RFC 9110 6.6.1).
void append_missing_date(Fields fields, std::int64_t now_s, std::string& out);
void append_length(std::uint64_t length, std::string& out);

/// A stored head but for its Set-Cookie lines.
void append_without_set_cookie(std::string_view stored_head, std::string& out);

/// Head of a 206: the stored one (with or without its Set-Cookie lines), the status line and what belongs to the whole
/// body replaced. An empty `content_type` keeps the stored one; an empty `content_range` leaves that field out.
void append_partial_head(std::string_view stored_head, bool without_set_cookie, std::string_view content_type,
                         std::string_view content_range, std::uint64_t length, std::string& out);
/// Head of a 416 with an empty body.
void append_unsatisfied_head(std::string_view stored_head, std::string_view content_range, std::string& out);
std::string_view content_type_of(std::string_view stored_head);
/// `Accept-Ranges: none`: the application doesn't want parts of it to be had.
bool refuses_ranges(std::string_view stored_head);

/// Head of a 304 for a stored response: the fields that RFC 9110 15.4.5 asks for.
void append_not_modified_head(std::string_view stored_head, std::string& out);

/// `Content-Type: text/event-stream`: may be silent for any time.
bool is_event_stream(Fields response_fields) noexcept;

/// Whether a client's X-Request-Id is fit to be kept: 1 to 128 characters of a harmless alphabet.
bool is_sane_request_id(std::string_view id) noexcept;

}  // namespace pillion
