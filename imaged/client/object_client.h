// What the host's own daemons (as root) ask of an imaged about single objects. Connects at the
// first use and again after the connection broke. Thread-safe. Errors are imaged's own;
// kUnavailable when it does not answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/cancel.h"
#include "common/digest.h"
#include "common/result.h"

namespace strata::imaged {

class ObjectClient {
 public:
  explicit ObjectClient(std::string socket_path);
  ~ObjectClient();
  const std::string& socket_path() const { return socket_path_; }

  // kNotFound: neither imaged nor, unless `local_only`, anybody whom it may ask has the object.
  Result<uint64_t> SizeOf(const Digest& digest, bool local_only);
  // Ok: the object is in imaged's store, its bytes compared with the digest on their way in. With
  // `verify` one that is there already is compared too, and replaced when it differs.
  Status Provide(const Digest& digest, bool verify, const CancelToken& cancel);
  // The bytes as imaged has them in its store: not verified.
  Status Read(const Digest& digest, const std::function<Status(std::string_view)>& sink,
              const CancelToken& cancel);

 private:
  struct Connection;
  Result<std::shared_ptr<Connection>> Connect();
  // Tells why a call failed; a connection that is broken is given up.
  Error Failed(const Error& error);

  const std::string socket_path_;
  std::mutex mutex_;  // Guards connection_.
  std::shared_ptr<Connection> connection_;
};

}  // namespace strata::imaged
