// PipedBody: a body that is written by a function, on a thread of its own, no faster than the
// client takes it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "common/cancel.h"
#include "common/http/server.h"
#include "common/result.h"

namespace strata::http {

class PipedBody : public BodySource {
 public:
  // Takes the next bytes; waits while the client does not. kCancelled: it went away.
  using Sink = std::function<Status(std::string_view)>;
  using Producer = std::function<Status(const Sink& sink, const CancelToken& cancel)>;

  // Starts `produce` at once. Its error cuts the client off, and is logged with `what`.
  PipedBody(std::string what, Producer produce);
  // Cancels the producer and waits for it.
  ~PipedBody() override;

  Result<size_t> Read(char* buffer, size_t size) override;
  void Cancel() override;

 private:
  Status Push(std::string_view data);
  void Run(const Producer& produce);

  const std::string what_;
  CancelToken cancel_;
  std::mutex mutex_;  // Guards the next four.
  std::condition_variable changed_;
  std::string buffer_;
  size_t taken_ = 0;  // Of buffer_.
  bool ended_ = false;
  Status status_;       // Of the producer, once ended_.
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace strata::http
