// Objects from another imaged, by its Unix socket; it must see us as root.
#pragma once

#include <memory>
#include <string>

#include "imaged/client/object_client.h"
#include "imaged/fetch/object_fetcher.h"

namespace strata::imaged {

class PeerFetcher final : public ObjectFetcher {
 public:
  // Connects at the first use, and again after a failure.
  explicit PeerFetcher(const std::string& socket_path) : peer_(socket_path) {}

  std::string Name() const override { return "peer " + peer_.socket_path(); }
  Result<uint64_t> SizeOf(const Digest& digest) override {
    return peer_.SizeOf(digest, /*local_only=*/true);
  }
  // What it has itself: two peers of each other do not ask in circles.
  Status Fetch(const Digest& digest, const Sink& sink, const CancelToken& cancel) override {
    return peer_.Read(digest, sink, cancel);
  }

 private:
  ObjectClient peer_;
};

}  // namespace strata::imaged
