// Cuts a stream of JSON texts that follow each other, as JSON-RPC over a socket has them, into its
// objects. It does not look at what is in them (common/json_text.h does). Pure; foreign bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::net {

class JsonStream {
 public:
  explicit JsonStream(size_t object_bytes_max) : object_bytes_max_(object_bytes_max) {}

  void Push(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole object; absent until more is pushed. kInvalidArgument for what cannot begin one,
  // kResourceExhausted for a longer one: the stream is of no use then.
  Result<std::optional<std::string>> Next();

 private:
  const size_t object_bytes_max_;
  std::string buffer_;  // From the start of an object on.
  size_t scanned_ = 0;
  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace strata::net
