// Compressed values: the front stands plain, so that what reads a value's beginning needn't know; the strings are one
// zstd frame. The checksum covers what stands there and is looked at before zstd sees a byte.
#include "store/compression.hpp"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "core/stored_response_codec.hpp"
#include "core/validation.hpp"

namespace pillion {
namespace {

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  return context.get();
}

// What is dense already by its kind. Not complete: for the rest, what doesn't save isn't kept.
bool is_dense(std::string_view type) {
  constexpr std::array<std::string_view, 3> families{"image/", "video/", "audio/"};
  constexpr std::array<std::string_view, 13> types{"font/woff",
                                                   "font/woff2",
                                                   "application/font-woff",
                                                   "application/zip",
                                                   "application/gzip",
                                                   "application/x-gzip",
                                                   "application/zstd",
                                                   "application/x-xz",
                                                   "application/x-bzip2",
                                                   "application/vnd.rar",
                                                   "application/java-archive",
                                                   "application/x-7z-compressed",
                                                   "application/x-rar-compressed"};
  constexpr std::array<std::string_view, 3> plain_images{"image/svg+xml", "image/bmp", "image/x-icon"};
  constexpr std::string_view office = "application/vnd.openxmlformats-officedocument.";
  const auto begins = [&](std::string_view prefix) { return iequals(type.substr(0, prefix.size()), prefix); };
  const auto is = [&](std::string_view name) { return iequals(type, name); };
  if (std::ranges::any_of(plain_images, is)) return false;
  const bool zipped = type.size() > 4 && iequals(type.substr(type.size() - 4), "+zip");
  return zipped || begins(office) || std::ranges::any_of(families, begins) || std::ranges::any_of(types, is);
}

// The strings of `value` as a frame in their place; false where that saves less than an eighth of them.
bool compress(PlainValue& value, int level) {
  const std::string_view strings = std::string_view(value.bytes).substr(value.front_size);
  ZSTD_CCtx* context = compressor();
  if (!context || ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level))) return false;
  std::string packed(value.bytes, 0, value.front_size);
  // No room for more than what would be kept: zstd gives up where it doesn't do.
  packed.resize(value.front_size + strings.size() - (strings.size() + 7) / 8);
  const std::size_t size = ZSTD_compress2(context, packed.data() + value.front_size, packed.size() - value.front_size,
                                          strings.data(), strings.size());
  if (ZSTD_isError(size)) return false;
  packed.resize(value.front_size + size);
  set_form(packed, ValueForm::zstd);
  value.bytes = std::move(packed);
  return true;
}

}  // namespace

bool may_compress(std::string_view head) {
  const std::vector<Field> fields = fields_of_head(head);
  for (const Field& field : fields) {
    if (field.id == Name::content_encoding && !iequals(field.value, "identity")) return false;
    if (field.id == Name::content_type && is_dense(trim(field.value.substr(0, field.value.find(';'))))) return false;
  }
  return true;
}

std::string write_value(const StoredResponse& response, const config::CompressSettings& settings,
                        std::optional<std::int64_t> shared_offset_ms) {
  PlainValue value = encode_plain(response, shared_offset_ms);
  const std::size_t size = response.head().size() + response.body().size();
  if (settings.enabled && size >= settings.min && size <= max_compressed && may_compress(response.head())) {
    compress(value, settings.level);
  }
  seal(value.bytes);
  return std::move(value.bytes);
}

StoredResponsePtr read_value(std::string_view bytes, std::size_t largest, std::string_view primary_key,
                             const SharedNow& now, std::uint64_t local_position, KeyMatch match) {
  const auto value = open_value(bytes);
  if (!value) return nullptr;
  if (value->form == ValueForm::plain) {
    return decode(*value, value->strings, primary_key, now, local_position, match);
  }
  // The frame says the same as the front, or there is no need to unpack it.
  if (value->strings_size > largest ||
      ZSTD_getFrameContentSize(value->strings.data(), value->strings.size()) != value->strings_size) {
    return nullptr;
  }
  ZSTD_DCtx* context = decompressor();
  if (!context) return nullptr;
  const auto size = static_cast<std::size_t>(value->strings_size);
  const auto plain = std::make_unique_for_overwrite<char[]>(size);
  if (ZSTD_decompressDCtx(context, plain.get(), size, value->strings.data(), value->strings.size()) != size) {
    return nullptr;
  }
  return decode(*value, {plain.get(), size}, primary_key, now, local_position, match);
}

}  // namespace pillion
