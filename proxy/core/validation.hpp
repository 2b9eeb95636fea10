// Conditional requests: answering a client's from the store (RFC 9110 13), asking the upstream (RFC 9111 4.3). Pure.
#pragma once

#include <string>
#include <vector>

#include "core/message.hpp"
#include "core/stored_response.hpp"

namespace pillion {

/// The response's ETag where there is exactly one and it is well-formed (RFC 9110 8.8.3), else empty: what
/// StoredParts::etag is to be.
std::string_view entity_tag_of(Fields response_fields) noexcept;
/// Whether a well-formed entity tag is a strong one; false for an empty one.
bool is_strong(std::string_view etag) noexcept;

/// RFC 9110 8.8.3.2 over a list: whether an If-None-Match over all its lines names this entity tag by weak comparison,
/// or is `*`. What stands after the first malformed member counts for nothing.
bool etag_matches_weakly(Fields request_fields, std::string_view etag) noexcept;

/// Whether a 200 with these validators should go to the client as 304: If-None-Match goes before If-Modified-Since
/// (RFC 9110 13.1.3); a date that is repeated or not an HTTP-date is ignored. `last_modified_s` is -1 where there is
/// none: then Date takes its place (RFC 9111 4.3.2), but a date equal to it isn't enough: what the client has may be
/// another answer of that second, invalidated since.
bool client_has_it(Fields request_fields, std::string_view etag, std::int64_t last_modified_s, std::int64_t date_s,
                   std::int64_t now_s) noexcept;

/// Whether the request carries If-Match or If-Unmodified-Since: such a one goes to the upstream.
bool has_write_precondition(Fields request_fields) noexcept;
/// Whether it carries If-None-Match or If-Modified-Since.
bool has_client_condition(Fields request_fields) noexcept;
/// One of the five conditional fields or Range: not passed on by a fetch that is to be stored.
bool is_client_condition(Name id) noexcept;

/// Fields that ask the upstream whether `stored` still holds, ready to write: `If-None-Match: ...\r\n` and/or
/// `If-Modified-Since: ...\r\n`. Empty where it has no validator. `strong_only`: a date isn't good enough.
std::string validation_fields(const StoredResponse& stored, bool strong_only = false);

/// Head of `stored` freshened by the fields of a 304, or of a 200 to a HEAD (RFC 9111 3.2, 4.3.4, 4.3.5): every field
/// of it replaces those of that name, but for those that describe the stored body (Content-Length, Content-Encoding,
/// Content-Type, Content-Range, Content-MD5, Content-Digest, ETag), those that are never stored (hop-by-hop,
/// Connection-named, Age, Cache-Status), and Set-Cookie, which is for the client that asked; the route says what
/// becomes of it. The stored Date goes in any case: where the 304 brings none, the time of its receipt is the new one
/// (RFC 9110 6.6.1), and whoever stores the head adds it. Wire bytes as StoredParts::head.
std::string freshened_head(const StoredResponse& stored, Fields not_modified);
/// Whether a 304 to validation_fields(stored) speaks of this stored response (RFC 9111 4.3.4): a strong entity tag must
/// be the very same, a weak one equal by weak comparison; without an entity tag a Last-Modified must be the stored one;
/// with neither it does, since it was asked about nothing else.
bool speaks_of(const StoredResponse& stored, Fields not_modified) noexcept;

/// Whether a 304 updates this stored response too, though it was another that was asked about: they stand under one
/// primary key, and the 304's strong entity tag is this one's (RFC 9111 4.3.4). False where the 304 has none: a weak
/// tag or a date doesn't tell the variants of one URL apart.
bool same_strong_validator(const StoredResponse& stored, Fields not_modified) noexcept;

/// What the answer to a HEAD says of a stored response to a GET that could have answered it (RFC 9111 4.3.5).
enum class HeadEffect : std::uint8_t {
  none,      ///< nothing
  freshen,   ///< it still holds: freshened_head() makes its new head, and may_store() says whether that may be stored
  outdated,  ///< a GET would bring another: it counts as stale from now on, whatever its lifetime
};
/// A 200 freshens a stored 200 unless one of Content-Length, ETag and Last-Modified that it has disagrees: a length
/// with the stored body's, a strong entity tag with the very same, a weak one by weak comparison (RFC 9110 8.8.3.2), a
/// date with the same second. One that has nothing to compare says nothing: no validator where the stored response has
/// one, no length where it has none. What is stored lacks, and what is malformed or repeated, disagrees. Another status
/// than the stored one outdates it where it speaks of the resource: 2xx, 3xx, 404, 410; but not 206 and 304, which
/// answer a condition of that client, nor any other 4xx or 5xx.
HeadEffect effect_of_head(const StoredResponse& stored, const ResponseHead& head) noexcept;

/// Parses wire bytes as StoredParts::head back into fields (views into `head`). The status line is skipped, and so is
/// any line that is not a field.
std::vector<Field> fields_of_head(std::string_view head);

}  // namespace pillion
