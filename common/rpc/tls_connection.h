// TlsConnection: one TLS connection of our own, beside gRPC, for what gRPC does not tell: why a
// handshake failed, and which certificates the other side showed. Every step has a bound.
// Used by one thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/pki/certificate.h"
#include "common/result.h"
#include "common/unique_fd.h"

struct ssl_ctx_st;
struct ssl_st;

namespace strata::rpc {

// What one side shows and trusts.
struct TlsIdentity {
  std::string authority_pem;    // Whom it trusts.
  std::string certificate_pem;  // Its own, with those above it; empty: none is shown.
  std::string key_pem;
};

// "10.0.0.1:7443", "[fd00::1]:7443": numbers only, so that no resolver is waited for or trusted.
// kInvalidArgument for anything else, or a port of 0.
Status CheckAddress(const std::string& address);

class TlsConnection {
 public:
  // Connects within `bound`, which is then the bound of all that follows too. With `verify` the
  // other side must show a certificate that `identity.authority_pem` signed.
  static Result<std::unique_ptr<TlsConnection>> Open(const std::string& address,
                                                     const TlsIdentity& identity, bool verify,
                                                     std::chrono::milliseconds bound);
  ~TlsConnection();

  Status Handshake();
  // Waits for the first byte of the other side, which it sends when it has taken our certificate
  // (TLS 1.3 clients are done before that).
  Status AwaitAcceptance();
  // After the handshake: the leaf first. At most 8.
  Result<std::vector<pki::Certificate>> Chain() const;

 private:
  using Clock = std::chrono::steady_clock;
  TlsConnection(std::string address, Clock::time_point deadline)
      : address_(std::move(address)), deadline_(deadline) {}
  Status Connect();
  Status Prepare(const TlsIdentity& identity, bool verify);
  Status WaitFor(short events);
  // Repeats an OpenSSL call until it is done.
  template <typename Step>
  Status Drive(const Step& step);
  Error Explain(int ssl_error) const;

  const std::string address_;
  const Clock::time_point deadline_;
  UniqueFd fd_;
  bool shows_certificate_ = false;
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> context_{nullptr, nullptr};
  std::unique_ptr<ssl_st, void (*)(ssl_st*)> ssl_{nullptr, nullptr};
};

}  // namespace strata::rpc
