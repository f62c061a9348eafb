// ID tokens of OpenID Connect (OpenID Connect Core 1.0, section 2): JSON web tokens (RFC 7519) that
// an issuer has signed (RFC 7515), and the keys that it publishes (RFC 7517). Bytes of strangers:
// every part has a limit, and what is not understood is refused.
//
// Only RS256 (RSA of 2048 to 8192 bits) and ES256 (P-256) count. The algorithm is the key's, never
// what a token says alone. Pure, but for OpenSSL. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY.

namespace strata::vcluster {

inline constexpr size_t kIdTokenBytesMax = 16 << 10;
inline constexpr size_t kJwkSetBytesMax = 256 << 10;
inline constexpr size_t kJwkSetKeysMax = 100;

// The keys that an issuer signs with.
class JwkSet {
 public:
  enum class Algorithm { kRs256, kEs256 };
  struct Key {
    std::string id;  // May be empty.
    Algorithm algorithm;
    std::shared_ptr<evp_pkey_st> key;
  };

  // Keys of other kinds or uses are passed over; kInvalidArgument for what is no set of keys.
  static Result<JwkSet> Parse(std::string_view json);

  // The key of this id; without one, the only key of this algorithm. Null: none.
  const Key* Find(std::string_view id, Algorithm algorithm) const;
  size_t size() const { return keys_.size(); }

 private:
  std::vector<Key> keys_;
};

struct IdExpectation {
  std::string issuer;
  std::string client_id;  // Whom the token must be for.
  std::string nonce;      // Of this sign-in.
  int64_t now_unix_ms = 0;
  int64_t leeway_ms = 60'000;  // How far clocks may be apart.
};

struct IdClaims {
  std::string issuer;
  std::string subject;    // The user, at this issuer.
  std::string user_name;  // What he would like to be called; may be empty, as the following.
  std::string real_name;
  std::string mail;  // Only one that the issuer has verified.
};

// kPermissionDenied says what is wrong with the token: its form, its signature, or a claim.
// kNotFound: no key of the set has signed it; the issuer may have a new one.
Result<IdClaims> VerifyIdToken(std::string_view token, const JwkSet& keys,
                               const IdExpectation& expected);

// The claims alone, of a token whose signature is right.
Result<IdClaims> CheckIdClaims(std::string_view json, const IdExpectation& expected);

}  // namespace strata::vcluster
