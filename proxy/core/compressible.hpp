// Which responses may go to clients in another coding than they came in, and the head that goes with an encoded body.
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "config/model.hpp"
#include "core/content_coding.hpp"
#include "core/headers.hpp"

namespace pillion {

struct ResponseMeta;
class StoredResponse;

/// Of a body, bytes. What isn't over the smallest fits one packet as it is; what is larger isn't worth the memory that
/// a coder needs for it.
inline constexpr std::size_t smallest_compressed = 1024, largest_compressed = std::size_t{8} << 20;
constexpr bool is_compressible_size(std::size_t body) noexcept {
  return body > smallest_compressed && body <= largest_compressed;
}

/// Sets what of the meta concerns codings, from the response's own fields; its status and directives are there already.
/// no_transform is added to these where Cache-Control says it beside a targeted field that decides all else.
/// `compressible`: a 200 of one media type that compression is known to shrink, with no Content-Encoding, Content-Range
/// or signature, and no no-transform in any Cache-Control or targeted field (RFC 9111 5.2.2.6). `varies_by_coding`: its
/// Vary names Accept-Encoding already.
void describe_coding(const Fields& response_fields, ResponseMeta& meta) noexcept;

/// Whether the response was kept for some only of those who ask (`personal:` with keys). It isn't compressed: its
/// length would tell a secret in it to whoever can put guesses beside that (BREACH).
bool is_kept_personally(const ResponseMeta& meta, const config::Route& route) noexcept;

/// The stored head for a body in `coding` of `size` bytes: Content-Encoding and Content-Length, `Vary: Accept-Encoding`
/// unless it stands there, a weak entity tag (RFC 9110 8.8.1: the bytes differ), and none of what was said of the plain
/// bytes: Accept-Ranges, Content-MD5, Content-Digest, Repr-Digest, Digest. Wire bytes as StoredParts::head.
std::string encoded_head(const StoredResponse& stored, Coding coding, std::size_t size);

/// Gives a response the forms of the one that it was made of when the upstream confirmed that, each with a head of its
/// own fields. Its body is the same, bytes and all; nobody else has it yet. None where it isn't compressible any more.
void take_over_forms(const StoredResponse& confirmed, const StoredResponse& old);

/// `Vary: Accept-Encoding` with its CRLF.
inline constexpr std::string_view vary_by_coding = "Vary: Accept-Encoding\r\n";

}  // namespace pillion
