// Certificate: an X.509 certificate (RFC 5280) of this project's two kinds: a cluster's authority,
// or a host of it. A host's name stands in it three times, and all must agree: subject CN, DNS name
// (what TLS libraries compare), and the URI "strata-host:<name>" (what says that it is a host at
// all).
//
// An immutable value; thread-safe. Parsing is bounded; kCorrupt for what is no certificate.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

struct x509_st;  // OpenSSL's X509.

namespace strata::pki {

using Time = std::chrono::system_clock::time_point;

// 1 to 63 lower-case letters, digits and inner hyphens (a DNS label, RFC 1035).
bool IsHostName(std::string_view name);
// kInvalidArgument that says what a name may be.
Status CheckHostName(std::string_view name);

class Certificate {
 public:
  // The first certificate of a PEM text of at most 64 KiB.
  static Result<Certificate> FromPem(std::string_view pem);
  // At most 16 KiB, with nothing behind it.
  static Result<Certificate> FromDer(std::string_view der);
  // Shares `certificate` (adds a reference).
  static Result<Certificate> Of(x509_st* certificate);

  std::string ToPem() const;
  std::string ToDer() const;
  // The host whose certificate this is; empty: not a host's.
  const std::string& host_name() const { return host_name_; }
  const std::string& serial() const { return serial_; }            // Lower-case hex digits.
  const std::string& fingerprint() const { return fingerprint_; }  // SHA-256 of it, 32 bytes.
  Time not_before() const { return not_before_; }
  Time not_after() const { return not_after_; }
  bool is_authority() const { return is_authority_; }
  x509_st* get() const { return certificate_.get(); }

 private:
  explicit Certificate(std::shared_ptr<x509_st> certificate)
      : certificate_(std::move(certificate)) {}
  static Result<Certificate> Inspect(std::shared_ptr<x509_st> certificate);

  std::shared_ptr<x509_st> certificate_;
  std::string host_name_;
  std::string serial_;
  std::string fingerprint_;
  Time not_before_;
  Time not_after_;
  bool is_authority_ = false;
};

}  // namespace strata::pki
