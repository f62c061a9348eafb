// PrivateKey: an ECDSA key on P-256 (FIPS 186-4), which every TLS library takes. Ed25519 would do
// as well but for gRPC 1.51, whose TLS defaults do not offer it everywhere.
//
// A value that shares its immutable key; thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY.

namespace strata::pki {

class PrivateKey {
 public:
  static Result<PrivateKey> Generate();
  // The first key of a PEM text of at most 64 KiB, without a pass phrase. kCorrupt for anything
  // but a key on P-256.
  static Result<PrivateKey> FromPem(std::string_view pem);

  // PKCS #8. A secret: write it with SaveSecret.
  Result<std::string> ToPem() const;
  evp_pkey_st* get() const { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

// Whether `key` is on P-256: the only keys that are signed or taken.
bool IsP256(evp_pkey_st* key);

// Replaces `path`, readable by its owner alone, atomically and durably. The directory is the
// caller's to protect (MakeSecretDirectory).
Status SaveSecret(const std::string& path, std::string_view data);
// mkdir -p with mode 0700 for what is made; an existing last directory gets that mode too.
Status MakeSecretDirectory(const std::string& path);

}  // namespace strata::pki
