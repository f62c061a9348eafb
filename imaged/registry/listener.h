// RegistryListener: the registry at an address of this host. Its certificate is looked at every
// kCertificateLookEvery: when the files are others, connections from then on get what is in them.
// Files that do not belong together are in the log, and the certificate before stays.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/http/server.h"
#include "imaged/registry/registry.h"

namespace strata::imaged {

constexpr std::chrono::seconds kCertificateLookEvery{30};

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
  // Looks at the certificate's files now. True: they were others, and are in use.
  Result<bool> RenewCertificate();
  // As http::Server::Shutdown.
  void Shutdown(std::chrono::milliseconds grace) { server_->Shutdown(grace); }

 private:
  // The files of the certificate, and what tells that they were written anew.
  struct CertificateFiles {
    std::string certificate;
    std::string key;
    std::string stamp;
  };
  static Result<CertificateFiles> FilesOf(const RegistryOptions& options,
                                          const std::string& identity_path);
  static std::string StampOf(const CertificateFiles& files);
  RegistryListener(std::unique_ptr<Registry> registry, std::unique_ptr<http::Server> server,
                   CertificateFiles files);
  void KeepRenewing(const std::stop_token& stop);

  const std::unique_ptr<Registry> registry_;
  const std::unique_ptr<http::Server> server_;  // Behind the registry, which it calls.
  std::mutex mutex_;                            // Guards what follows.
  CertificateFiles files_;                      // Empty without TLS.
  std::condition_variable_any wake_;
  std::jthread renewer_;  // Last: it uses the others.
};

}  // namespace strata::imaged
