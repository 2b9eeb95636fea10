// Range requests answered from a complete stored response (RFC 9110 14). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/headers.hpp"

namespace pillion {

/// Bytes first to last, both included, inside the body.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t size() const noexcept { return last - first + 1; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// What is known of the stored representation.
struct Representation {
  std::string_view etag;              ///< well-formed, or empty
  std::int64_t last_modified_s = -1;  ///< -1: none
  std::int64_t date_s = 0;
  std::uint64_t size = 0;  ///< of the body
};

struct RangeAnswer {
  enum class Kind : std::uint8_t {
    whole,          ///< 200: no Range, or one that is malformed, of another unit, out of date (If-Range) or abusive
    partial,        ///< 206 with `ranges`
    unsatisfiable,  ///< 416
  };
  Kind kind = Kind::whole;
  std::vector<ByteRange> ranges;  ///< satisfiable ones in the order asked for
};
/// More ranges than this, or ranges that together are longer than the body, are an attack (RFC 9110 14.2, 17.15):
/// whole.
inline constexpr std::size_t max_ranges = 32;

/// What a GET with these fields is to get of a stored 200 (RFC 9110 14.2, 13.1.5); whether the method is GET, and
/// whether If-None-Match and its like leave anything to answer with, the caller has seen before (13.2.2).
/// Whole where there are several Range or several If-Range lines; unsatisfiable where every range is. If-Range counts
/// by strong comparison alone: the very same strong entity tag, or the stored Last-Modified where that lies at least a
/// second before Date (8.8.2.2). Of an empty body a suffix is the whole, and any other range unsatisfiable. `now_s`
/// places a two-digit year.
RangeAnswer select_ranges(Fields request_fields, const Representation& stored, std::int64_t now_s);

/// `bytes 0-4/10`.
std::string content_range(ByteRange range, std::uint64_t size);
/// `bytes */10`: of a 416.
std::string unsatisfied_content_range(std::uint64_t size);

/// multipart/byteranges (RFC 9110 14.6): what stands before each part's bytes, and what ends it all.
struct Multipart {
  std::string boundary;             ///< does not occur in the body
  std::vector<std::string> before;  ///< one for each range
  std::string end;
  std::uint64_t length = 0;  ///< of everything together
};
/// `content_type` is the stored one, left out of the parts where empty.
Multipart make_multipart(const std::vector<ByteRange>& ranges, std::string_view content_type, std::string_view body);

}  // namespace pillion
