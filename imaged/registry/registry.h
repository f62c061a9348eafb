// Registry: the images of this host for clients of OCI registries (distribution-spec 1.1), as
// podman, skopeo and docker are (docs/registry.md). Takes a request apart, asks who it is from
// (authenticator.h), and has it answered (reader.h, pusher.h).
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/http/server.h"
#include "imaged/registry/authenticator.h"
#include "imaged/registry/blob_cache.h"
#include "imaged/registry/image_cache.h"
#include "imaged/registry/pull_log.h"
#include "imaged/registry/pusher.h"
#include "imaged/registry/reader.h"
#include "imaged/registry/uploads.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

class Registry : public http::Handler {
 public:
  // Both must outlive this. `scheme`: "https" or "http"; `cache_directory` and its bound are the
  // blob cache's.
  static Result<std::unique_ptr<Registry>> Create(Repository* repository, TokenBook* book,
                                                  const std::string& scheme,
                                                  const std::string& cache_directory,
                                                  uint64_t cache_bytes_max);

  http::Answer Handle(const http::Request& request) override;

 private:
  Registry(Repository* repository, Authenticator authenticator, std::unique_ptr<Uploads> uploads,
           std::unique_ptr<BlobCache> blobs);
  http::Answer Pull(const Bearer& bearer, const Route& route, const http::Request& request);
  http::Answer Push(const Bearer& bearer, const Route& route, const http::Request& request);
  // The repository as its owner is called on this host, and whether he is `caller` (or root).
  struct Owned {
    std::string name;
    bool own = false;
  };
  Owned OwnerOf(uid_t caller, const std::string& repository) const;
  void KeepTidy(const std::stop_token& stop);

  Repository* const repository_;
  Authenticator authenticator_;
  const std::unique_ptr<Uploads> uploads_;
  const std::unique_ptr<BlobCache> blobs_;
  ImageCache cache_;
  PullLog pulls_;
  Reader reader_;
  Pusher pusher_;
  std::mutex wake_mutex_;  // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread tidier_;  // Last: it uses the others.
};

}  // namespace strata::imaged
