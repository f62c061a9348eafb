// One zstd frame with a prefix: how all content travels. The prefix is bytes that both sides hold
// (a part of a base object, or nothing).
//
// Encoder and decoder keep their zstd contexts, so that a stream of small frames does not set them
// up anew. Each is used by one thread at a time. Memory: a few MiB, and tables in proportion to
// content + prefix while a frame is made. No window is allocated on either side: both work from
// whole buffers.
//
// Source: zstd's ZSTD_CCtx_refPrefix (https://facebook.github.io/zstd/zstd_manual.html), as
// `zstd --patch-from` uses it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::imaged::transfer {

class FrameEncoder {
 public:
  // `level`: of zstd, 1 to 19; others are brought into that range.
  explicit FrameEncoder(int level);
  ~FrameEncoder();

  // kResourceExhausted: the frame would be larger than `size_max`. kInternal: zstd failed, which
  // only a lack of memory explains.
  Result<std::string> Encode(std::string_view content, std::string_view prefix, size_t size_max);

 private:
  struct Context;
  const std::unique_ptr<Context> context_;
  const int level_;
};

class FrameDecoder {
 public:
  FrameDecoder();
  ~FrameDecoder();

  // The content of `frame`, which has to be exactly `size` bytes; nothing else is allocated for it.
  // kCorrupt: it is no single frame, does not declare that size, or does not decode.
  Result<std::string> Decode(std::string_view frame, std::string_view prefix, size_t size);

 private:
  struct Context;
  const std::unique_ptr<Context> context_;
};

}  // namespace strata::imaged::transfer
