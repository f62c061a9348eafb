// Decompresses gzip (RFC 1952), one member after the other, checking the length and CRC of each:
// libarchive 3.6 does not, and would take a damaged stream for a good one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::imaged {

// The next bytes of a stream; empty: its end. They stay valid until the next call.
using ByteSource = std::function<Result<std::string_view>()>;

class GzipSource {
 public:
  explicit GzipSource(ByteSource source);
  ~GzipSource();
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  // The next decompressed bytes, valid until the next call; empty at the end. kCorrupt: the stream
  // is damaged or cut off. Bytes after the last member are read and ignored, as gzip(1) does.
  Result<std::string_view> Next();

 private:
  struct State;
  Status Refill();
  // At the end of a member: whether another one follows.
  Result<bool> StartMember();

  ByteSource source_;
  std::unique_ptr<State> state_;
  std::string input_;
  std::string output_;
  bool ended_ = false;  // The source.
  bool in_member_ = true;
};

}  // namespace strata::imaged
