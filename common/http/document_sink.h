// DocumentSink: keeps a small body whole and hands it on when it is complete.
//
// Used by the connection's thread alone.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/http/server.h"

namespace strata::http {

class DocumentSink final : public BodySink {
 public:
  using Taker = std::function<Response(const std::string&)>;
  // `too_long` answers a body of more than `bytes_max`.
  DocumentSink(size_t bytes_max, Response too_long, Taker take)
      : bytes_max_(bytes_max), too_long_(std::move(too_long)), take_(std::move(take)) {}

  std::optional<Response> Write(std::string_view data) override {
    if (text_.size() + data.size() > bytes_max_) return std::move(too_long_);
    text_.append(data);
    return std::nullopt;
  }
  Response Finish() override { return take_(text_); }

 private:
  const size_t bytes_max_;
  Response too_long_;
  const Taker take_;
  std::string text_;
};

}  // namespace strata::http
