// Bodies encoded slice by slice. See answer_encoder.hpp.
#include "store/answer_encoder.hpp"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>

namespace pillion {
namespace {

// Above these levels time grows several-fold for a few percent.
constexpr int zstd_level = 15, brotli_quality = 9, gzip_level = 9;
constexpr std::size_t slice_size = 64u << 10;
using Chunk = std::array<unsigned char, 32u << 10>;

/// What comes out, as long as it is within the limit.
struct Output {
  std::string bytes;
  std::size_t limit;
  bool add(const Chunk& chunk, std::size_t size) {
    if (bytes.size() + size > limit) return false;
    bytes.append(reinterpret_cast<const char*>(chunk.data()), size);
    return true;
  }
};

/// Each coder: `put` takes a slice (`last`: and ends the whole) and gives what comes out; false where something fails
/// or the limit is passed.
class ZstdCoder {
 public:
  explicit ZstdCoder(std::size_t size) : context_(ZSTD_createCCtx()) {
    if (!context_) return;
    // The size bounds the window, and with it what a client needs to decode (8 MiB at most, RFC 9659).
    good_ = !ZSTD_isError(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, zstd_level)) &&
            !ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context_.get(), size));
  }
  bool put(std::string_view slice, bool last, Output& out) {
    if (!good_) return false;
    ZSTD_inBuffer in{slice.data(), slice.size(), 0};
    for (;;) {
      ZSTD_outBuffer to{chunk_.data(), chunk_.size(), 0};
      const std::size_t left = ZSTD_compressStream2(context_.get(), &to, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) || !out.add(chunk_, to.pos)) return false;
      if (last ? left == 0 : in.pos == in.size) return true;
    }
  }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_;
  bool good_ = false;
  Chunk chunk_;
};

class BrotliCoder {
 public:
  explicit BrotliCoder(std::size_t size) : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (!state_) return;
    good_ = BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_QUALITY, brotli_quality) == BROTLI_TRUE &&
            BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_SIZE_HINT, static_cast<std::uint32_t>(size)) ==
                BROTLI_TRUE;
  }
  bool put(std::string_view slice, bool last, Output& out) {
    if (!good_) return false;
    const auto* next = reinterpret_cast<const std::uint8_t*>(slice.data());
    std::size_t left = slice.size();
    const BrotliEncoderOperation operation = last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS;
    for (;;) {
      std::uint8_t* to = chunk_.data();
      std::size_t room = chunk_.size();
      if (!BrotliEncoderCompressStream(state_.get(), operation, &left, &next, &room, &to, nullptr)) return false;
      if (!out.add(chunk_, chunk_.size() - room)) return false;
      if (last ? BrotliEncoderIsFinished(state_.get()) : left == 0 && !BrotliEncoderHasMoreOutput(state_.get()))
        return true;
    }
  }

 private:
  struct Free {
    void operator()(BrotliEncoderState* state) const noexcept { BrotliEncoderDestroyInstance(state); }
  };
  std::unique_ptr<BrotliEncoderState, Free> state_;
  bool good_ = false;
  Chunk chunk_;
};

class GzipCoder {
 public:
  explicit GzipCoder(std::size_t) {
    constexpr int gzip_window = 15 + 16;  // 32 KiB, with gzip's head and checksum
    good_ = deflateInit2(&stream_, gzip_level, Z_DEFLATED, gzip_window, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  GzipCoder(const GzipCoder&) = delete;
  ~GzipCoder() {
    if (good_) deflateEnd(&stream_);
  }
  bool put(std::string_view slice, bool last, Output& out) {
    if (!good_) return false;
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(slice.data()));  // zlib's old interface
    stream_.avail_in = static_cast<uInt>(slice.size());
    for (;;) {
      stream_.next_out = chunk_.data();
      stream_.avail_out = static_cast<uInt>(chunk_.size());
      const int done = deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      if (done == Z_STREAM_ERROR || !out.add(chunk_, chunk_.size() - stream_.avail_out)) return false;
      if (last ? done == Z_STREAM_END : stream_.avail_out > 0) return true;
    }
  }

 private:
  z_stream stream_{};
  bool good_ = false;
  Chunk chunk_;
};

template <typename Coder>
std::optional<std::string> encode_with(std::string_view body, std::size_t limit, const std::function<bool()>& go_on) {
  const auto coder = std::make_unique<Coder>(body.size());
  Output out{{}, limit};
  for (;;) {
    const std::string_view slice = body.substr(0, slice_size);
    body.remove_prefix(slice.size());
    if (!coder->put(slice, body.empty(), out)) return std::nullopt;
    if (body.empty()) return std::move(out.bytes);
    if (!go_on()) return std::nullopt;
  }
}

}  // namespace

std::optional<std::string> encode_body(Coding coding, std::string_view body, std::size_t limit,
                                       const std::function<bool()>& go_on) {
  switch (coding) {
    case Coding::zstd:
      return encode_with<ZstdCoder>(body, limit, go_on);
    case Coding::br:
      return encode_with<BrotliCoder>(body, limit, go_on);
    case Coding::gzip:
      return encode_with<GzipCoder>(body, limit, go_on);
    case Coding::identity:
      break;
  }
  return std::nullopt;
}

}  // namespace pillion
