// RenewedServer: an HTTP server at an address of this host, whose certificate is looked at every
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

namespace strata::http {

inline constexpr std::chrono::seconds kCertificateLookEvery{30};

// PEM files, or one that holds both. Both empty: no TLS.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};

class RenewedServer {
 public:
  // `name`: what the log calls it. `handler` must outlive the result. As Server::Start, whose
  // certificate and key come from `files`.
  static Result<std::unique_ptr<RenewedServer>> Start(std::string name, ServerOptions options,
                                                      CertificateFiles files, Handler* handler);
  int port() const { return server_->port(); }
  // Looks at the files now. True: they were others, and are in use.
  Result<bool> RenewCertificate();
  // As Server::Shutdown.
  void Shutdown(std::chrono::milliseconds grace) { server_->Shutdown(grace); }

 private:
  RenewedServer(std::string name, std::unique_ptr<Server> server, CertificateFiles files,
                std::string stamp);
  void KeepRenewing(const std::stop_token& stop);

  const std::string name_;
  const CertificateFiles files_;
  const std::unique_ptr<Server> server_;
  std::mutex mutex_;   // Guards stamp_, and one look at a time.
  std::string stamp_;  // Tells that the files were written anew.
  std::condition_variable_any wake_;
  std::jthread renewer_;  // Last: it uses the others.
};

}  // namespace strata::http
