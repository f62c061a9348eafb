// Decompresses zstd (RFC 8878), one frame after the other, skippable frames included. Windows of
// more than 128 MiB are refused, as zstd(1) does without --long.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"
#include "imaged/archive/gzip_source.h"

namespace strata::imaged {

// Used by one thread.
class ZstdSource {
 public:
  explicit ZstdSource(ByteSource source);
  ~ZstdSource();
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;

  // The next decompressed bytes, valid until the next call; empty at the end. kCorrupt: the stream
  // is damaged or cut off.
  Result<std::string_view> Next();

 private:
  struct State;
  ByteSource source_;
  std::unique_ptr<State> state_;
  std::string output_;
  bool ended_ = false;    // The source.
  bool in_frame_ = true;  // The stream must have one frame at least.
};

}  // namespace strata::imaged
