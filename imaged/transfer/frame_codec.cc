#include "imaged/transfer/frame_codec.h"

#include <zstd.h>

#include <algorithm>
#include <bit>

namespace strata::imaged::transfer {
namespace {

constexpr int kLevelMin = 1;
constexpr int kLevelMax = 19;
constexpr int kWindowLogMin = 10;
constexpr int kWindowLogMax = 27;  // Content and prefix of the largest delta: 96 MiB.
// The tables of the low levels are small: they forget the beginning of a prefix before the content
// begins. With one entry for 8 bytes of prefix and content, deltas of 608 MB of real updates took
// 37 MB instead of 213 at level 1, in 1.2 times the time; long-distance matching took 38 MB in 1.4.
constexpr int kTableLogBelowWindowLog = 3;
constexpr int kTableLogMin = 14;
constexpr int kTableLogMax = 24;
constexpr int kChainLevelMin = 3;  // Lower levels have no second table.

Error ZstdError(Code code, size_t result) {
  return Error(code, std::string("zstd: ") + ZSTD_getErrorName(result));
}

bool IsTooLarge(size_t result) {
  return std::string_view(ZSTD_getErrorName(result)) == "Destination buffer is too small";
}

}  // namespace

struct FrameEncoder::Context {
  ZSTD_CCtx* const zstd = ZSTD_createCCtx();
  ~Context() { ZSTD_freeCCtx(zstd); }
};

FrameEncoder::FrameEncoder(int level)
    : context_(std::make_unique<Context>()), level_(std::clamp(level, kLevelMin, kLevelMax)) {}

FrameEncoder::~FrameEncoder() = default;

Result<std::string> FrameEncoder::Encode(std::string_view content, std::string_view prefix,
                                         size_t size_max) {
  ZSTD_CCtx* const zstd = context_->zstd;
  if (zstd == nullptr) return Error(Code::kInternal, "zstd: no memory");
  ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level_);
  if (!prefix.empty()) {
    const int window_log = std::bit_width(content.size() + prefix.size());
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog,
                           std::clamp(window_log, kWindowLogMin, kWindowLogMax));
    const int table_log =
        std::clamp(window_log - kTableLogBelowWindowLog, kTableLogMin, kTableLogMax);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, table_log);
    if (level_ >= kChainLevelMin) ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, table_log);
    const size_t set = ZSTD_CCtx_refPrefix(zstd, prefix.data(), prefix.size());
    if (ZSTD_isError(set)) return ZstdError(Code::kInternal, set);
  }
  std::string frame;
  frame.resize(std::min(size_max, ZSTD_compressBound(content.size())));
  const size_t size =
      ZSTD_compress2(zstd, frame.data(), frame.size(), content.data(), content.size());
  if (ZSTD_isError(size)) {
    return ZstdError(IsTooLarge(size) ? Code::kResourceExhausted : Code::kInternal, size);
  }
  frame.resize(size);
  return frame;
}

struct FrameDecoder::Context {
  ZSTD_DCtx* const zstd = ZSTD_createDCtx();
  ~Context() { ZSTD_freeDCtx(zstd); }
};

FrameDecoder::FrameDecoder() : context_(std::make_unique<Context>()) {}

FrameDecoder::~FrameDecoder() = default;

Result<std::string> FrameDecoder::Decode(std::string_view frame, std::string_view prefix,
                                         size_t size) {
  ZSTD_DCtx* const zstd = context_->zstd;
  if (zstd == nullptr) return Error(Code::kInternal, "zstd: no memory");
  // Before anything is allocated.
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != size) {
    return Error(Code::kCorrupt, "a frame does not declare its " + std::to_string(size) + " bytes");
  }
  if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) {
    return Error(Code::kCorrupt, "not one whole frame");
  }
  ZSTD_DCtx_reset(zstd, ZSTD_reset_session_and_parameters);
  ZSTD_DCtx_refPrefix(zstd, prefix.data(), prefix.size());
  std::string content;
  content.resize(size);
  const size_t got =
      ZSTD_decompressDCtx(zstd, content.data(), content.size(), frame.data(), frame.size());
  if (ZSTD_isError(got)) return ZstdError(Code::kCorrupt, got).Wrap("a frame does not decode");
  if (got != size) return Error(Code::kCorrupt, "a frame is shorter than it declares");
  return content;
}

}  // namespace strata::imaged::transfer
