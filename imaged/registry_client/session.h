// RegistrySession: one image in one registry, for the program that pulls or pushes it
// (distribution-spec 1.1). It runs in the user's own process, with his rights and from his network:
// imaged never dials where a user says.
//
// It answers challenges (Basic, Bearer), and repeats what failed for a reason that passes (a broken
// connection, 429, 5xx): five times, with growing pauses, or as long as the registry says. Blobs go
// on where they broke off.
//
// Used by one thread. Errors name the registry, never credentials.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/cancel.h"
#include "common/http/client.h"
#include "common/result.h"
#include "common/sha256.h"
#include "imaged/oci/documents.h"
#include "imaged/registry_client/credentials.h"
#include "imaged/registry_client/location.h"

namespace strata::imaged {

struct RegistrySessionOptions {
  http::ClientOptions http;
  // Plain HTTP when the registry speaks no TLS; only with http.verify_tls off.
  bool allow_plain_http = false;
  std::optional<RegistryCredentials> credentials;
  std::chrono::milliseconds first_pause{500};
};

class RegistrySession {
 public:
  // `cancel` must outlive this. `push`: also to write.
  static Result<std::unique_ptr<RegistrySession>> Create(RegistryLocation location, bool push,
                                                         RegistrySessionOptions options,
                                                         const CancelToken* cancel);

  const RegistryLocation& location() const { return location_; }

  // The image at the location, for `platform` when there are several. kNotFound; kPermissionDenied;
  // kCorrupt when it is another.
  struct Image {
    oci::Descriptor descriptor;
    std::string manifest_bytes;
    oci::Manifest manifest;
    std::string config_bytes;
    oci::ImageConfig config;
  };
  Result<Image> GetImage(const oci::Platform& platform);

  using Sink = std::function<Status(std::string_view)>;
  // All bytes of a blob, in order; kCorrupt when they are another's. What `sink` got before an
  // error is to be thrown away.
  Status GetBlob(const oci::Descriptor& blob, const Sink& sink);

  Result<bool> HasBlob(const oci::Descriptor& blob);
  // `read` gives the blob's bytes, once: 0 at the end. What fails half-way is not repeated.
  using Source = std::function<Result<size_t>(char* buffer, size_t size)>;
  Status PutBlob(const oci::Descriptor& blob, const Source& read);
  Status PutManifest(const oci::Descriptor& descriptor, const std::string& bytes);

 private:
  RegistrySession(RegistryLocation location, bool push, RegistrySessionOptions options,
                  const CancelToken* cancel, std::unique_ptr<http::Client> client)
      : location_(std::move(location)),
        push_(push),
        options_(std::move(options)),
        cancel_(cancel),
        client_(std::move(client)) {}

  class Documents;
  struct Document {
    oci::Descriptor descriptor;
    std::string bytes;
  };
  // By the location's tag or digest.
  Result<Document> GetStart();
  // Of known digest and size: a manifest, or another blob.
  Result<std::string> GetManifest(const oci::Descriptor& descriptor);
  Result<std::string> GetDocument(const oci::Descriptor& descriptor);
  std::string Address(const std::string& path) const;
  // With what the registry asks for; one that asks for no more is asked once.
  Result<http::Incoming> Ask(http::Outgoing request, const http::BodyReceiver& sink = nullptr);
  // The same, until it is no failure that passes.
  Result<http::Incoming> AskPatiently(const http::Outgoing& request);
  Status Authorize(const http::Incoming& challenge);
  Status FetchToken(const http::Challenge& challenge);
  // Of the body, or from `first` on.
  Status GetBlobOnce(const oci::Descriptor& blob, const Sink& sink, uint64_t* received);
  Status Pause(int attempt, std::string_view retry_after);
  Error Refusal(const http::Incoming& answer, const std::string& what) const;

  const RegistryLocation location_;
  const bool push_;
  const RegistrySessionOptions options_;
  const CancelToken* const cancel_;
  const std::unique_ptr<http::Client> client_;
  std::string scheme_ = "https";
  std::string authorization_;  // Value of the field; empty: none yet.
};

}  // namespace strata::imaged
