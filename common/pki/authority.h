// Authority: a cluster's own certificate authority. It signs hosts' certificates and nothing else
// (path length 0). Who has its key can make any host: the key stays on one host, mode 0600.
//
// A value; thread-safe.
#pragma once

#include <chrono>
#include <string>

#include "common/pki/certificate.h"
#include "common/pki/private_key.h"
#include "common/pki/request.h"
#include "common/result.h"

namespace strata::pki {

constexpr std::chrono::hours kAuthorityValidity{24 * 3650};
constexpr std::chrono::hours kHostValidity{24 * 365};
// Certificates begin this long before they are made: clocks of hosts differ a little.
constexpr std::chrono::minutes kClockSkewAllowed{5};

class Authority {
 public:
  // A new key and its certificate, valid for ten years from `now`.
  static Result<Authority> Create(Time now);
  // kCorrupt when the two do not belong together, or the certificate is no authority's.
  static Result<Authority> Load(std::string_view certificate_pem, std::string_view key_pem);

  const Certificate& certificate() const { return certificate_; }
  Result<std::string> KeyPem() const { return key_.ToPem(); }

  // A certificate for the key and the name of `request` (which ParseRequest has checked), with a
  // random serial number. It never outlives the authority's own.
  Result<Certificate> SignHost(const SigningRequest& request, Time now,
                               std::chrono::seconds validity = kHostValidity) const;

 private:
  Authority(PrivateKey key, Certificate certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}

  PrivateKey key_;
  Certificate certificate_;
};

// Whether a third of the certificate's life or less is left: the time to get a new one.
bool RenewalIsDue(const Certificate& certificate, Time now);

}  // namespace strata::pki
