// Objects from imaged, over its local socket: it has the store open, fetches, verifies and
// publishes.
#pragma once

#include <string>

#include "imaged/client/object_client.h"
#include "layerfs/objects/object_source.h"

namespace strata::layerfs {

class ImagedSource final : public ObjectSource {
 public:
  explicit ImagedSource(const std::string& socket_path) : imaged_(socket_path) {}

  Result<uint64_t> SizeOf(const Digest& digest) override {
    return imaged_.SizeOf(digest, /*local_only=*/false);
  }
  Status Provide(const Digest& digest, bool verify, const CancelToken& cancel) override {
    return imaged_.Provide(digest, verify, cancel);
  }

 private:
  imaged::ObjectClient imaged_;
};

}  // namespace strata::layerfs
