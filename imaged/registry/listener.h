// RegistryListener: the registry at an address of this host; its certificate follows its files
// (common/http/renewed_server.h).
//
// Thread-safe.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "common/http/renewed_server.h"
#include "imaged/registry/registry.h"

namespace strata::imaged {

struct RegistryOptions {
  std::string address;  // "10.0.0.1:5000"; empty: no registry.
  // PEM files. Both empty: the host's certificate of its cluster, if it is in one.
  std::string certificate_file;
  std::string key_file;
  std::string cache_directory;
  uint64_t cache_bytes_max = kBlobCacheBytesDefault;
  bool insecure = false;  // Without TLS: passwords and images can be read on the way.
};

class RegistryListener {
 public:
  // `identity_path`: key and certificate of this host in its cluster; empty: it is in none. The
  // pointers must outlive this. kFailedPrecondition when there is no certificate to show.
  static Result<std::unique_ptr<RegistryListener>> Start(const RegistryOptions& options,
                                                         const std::string& identity_path,
                                                         Repository* repository, TokenBook* book);
  int port() const { return server_->port(); }
  Result<bool> RenewCertificate() { return server_->RenewCertificate(); }
  // As http::Server::Shutdown.
  void Shutdown(std::chrono::milliseconds grace) { server_->Shutdown(grace); }

 private:
  RegistryListener(std::unique_ptr<Registry> registry, std::unique_ptr<http::RenewedServer> server)
      : registry_(std::move(registry)), server_(std::move(server)) {}

  const std::unique_ptr<Registry> registry_;
  const std::unique_ptr<http::RenewedServer> server_;  // Behind the registry, which it calls.
};

}  // namespace strata::imaged
