// Conditional requests: answering a client's from the store (RFC 9110 13), asking the upstream (RFC 9111 4.3). Pure.
#pragma once

#include <string>
#include <vector>

#include "core/message.hpp"
#include "core/stored_response.hpp"

namespace pillion {

/// RFC 9110 8.8.3.2 over a list: whether an If-None-Match over all its lines names this entity tag by weak comparison,
/// or is `*`.
bool etag_matches_weakly(Fields request_fields, std::string_view etag) noexcept;

/// Whether a 200 with these validators should go to the client as 304: If-None-Match goes before If-Modified-Since
/// (RFC 9110 13.1.3); a date that is not an HTTP-date is ignored. `last_modified_s` is -1 where there is none.
bool client_has_it(Fields request_fields, std::string_view etag, std::int64_t last_modified_s,
                   std::int64_t now_s) noexcept;

/// Whether the request carries If-Match or If-Unmodified-Since: such a one goes to the upstream.
bool has_write_precondition(Fields request_fields) noexcept;
/// One of the five conditional fields or Range: not passed on by a fetch that is to be stored.
bool is_client_condition(Name id) noexcept;

/// Fields that ask the upstream whether `stored` still holds, ready to write: `If-None-Match: ...\r\n` and/or
/// `If-Modified-Since: ...\r\n`. Empty where it has no validator.
std::string validation_fields(const StoredResponse& stored);

/// Head of `stored` freshened by a 304's fields (RFC 9111 3.2, 4.3.4): every field of the 304 replaces those of that
/// name, but for Content-Length, Content-Encoding, Content-Type, Content-Range, hop-by-hop and Connection-named fields.
/// Wire bytes as StoredParts::head.
std::string freshened_head(const StoredResponse& stored, Fields not_modified);
/// Whether a 304 speaks of this stored response: its validators, where it has some, equal the stored ones (RFC
/// 9111 4.3.4).
bool speaks_of(const StoredResponse& stored, Fields not_modified) noexcept;

/// Parses wire bytes as StoredParts::head back into fields (views into `head`). The status line is skipped.
std::vector<Field> fields_of_head(std::string_view head);

}  // namespace pillion
