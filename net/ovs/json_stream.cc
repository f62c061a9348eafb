#include "net/ovs/json_stream.h"

namespace strata::net {

Result<std::optional<std::string>> JsonStream::Next() {
  if (depth_ == 0) {
    buffer_.erase(0, buffer_.find_first_not_of(" \t\r\n"));
    scanned_ = 0;
    if (buffer_.empty()) return std::optional<std::string>();
    if (buffer_.front() != '{') return Error(Code::kInvalidArgument, "this is no JSON object");
  }
  for (; scanned_ < buffer_.size(); ++scanned_) {
    if (scanned_ == object_bytes_max_) {
      return Error(Code::kResourceExhausted,
                   "a message of more than " + std::to_string(object_bytes_max_) + " bytes");
    }
    const char c = buffer_[scanned_];
    if (in_string_) {
      in_string_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ == 0) {
      std::string object = buffer_.substr(0, scanned_ + 1);
      buffer_.erase(0, scanned_ + 1);
      return std::optional(std::move(object));
    }
  }
  return std::optional<std::string>();
}

}  // namespace strata::net
