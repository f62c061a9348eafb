#include "net/secure/esp_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>
#include <string>

#include "common/pki/openssl_error.h"

namespace strata::net {
namespace {

constexpr char kInfo[] = "strata esp 1";
constexpr uint32_t kSpiMin = 256;  // Below are reserved ones (RFC 4303, section 2.1).

void Append(std::string* text, const KeyBytes& bytes) {
  text->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

OSSL_PARAM Octets(const char* name, std::string* value) {
  return OSSL_PARAM_construct_octet_string(name, value->data(), value->size());
}

Result<EspSecret> Expand(std::string* secret, std::string salt, std::string info) {
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(
      EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_HKDF, nullptr), EVP_KDF_free);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(
      EVP_KDF_CTX_new(kdf.get()), EVP_KDF_CTX_free);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      Octets(OSSL_KDF_PARAM_KEY, secret),
      Octets(OSSL_KDF_PARAM_SALT, &salt),
      Octets(OSSL_KDF_PARAM_INFO, &info),
      OSSL_PARAM_construct_end(),
  };
  std::array<uint8_t, EspKey::kBytes + 4> result;
  if (context == nullptr ||
      EVP_KDF_derive(context.get(), result.data(), result.size(), parameters) != 1) {
    return pki::OpensslError(Code::kInternal, "derive a key of ESP");
  }
  EspKey::Bytes key;
  std::copy_n(result.begin(), key.size(), key.begin());
  uint32_t spi = 0;
  for (size_t i = key.size(); i < result.size(); ++i) spi = spi << 8 | result[i];
  OPENSSL_cleanse(result.data(), result.size());
  EspSecret derived = {spi < kSpiMin ? spi + kSpiMin : spi, EspKey(key)};
  OPENSSL_cleanse(key.data(), key.size());
  return derived;
}

}  // namespace

EspKey::~EspKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

bool operator==(const EspKey& a, const EspKey& b) {
  return CRYPTO_memcmp(a.bytes_.data(), b.bytes_.data(), EspKey::kBytes) == 0;
}

Result<EspSecrets> DeriveEspSecrets(const EspSelf& self, const EspOther& other) {
  ASSIGN_OR_RETURN(const PublicKey own_key, self.key.Public());
  ASSIGN_OR_RETURN(const PublicKey own_session, self.session.Public());
  ASSIGN_OR_RETURN(const SecretKey lasting, self.key.SharedWith(other.key));
  ASSIGN_OR_RETURN(const SecretKey passing, self.session.SharedWith(other.session));
  std::string secret;
  secret.reserve(3 * kKeyBytes);  // Not moved, so that it is wiped where it was.
  for (const SecretKey* part : {&lasting, &passing, &other.preshared}) {
    Append(&secret, part->bytes());
  }
  const auto direction = [&](const PublicKey& from_session, const PublicKey& to_session,
                             const PublicKey& from, const PublicKey& to) {
    std::string salt;
    Append(&salt, from_session.bytes);
    Append(&salt, to_session.bytes);
    std::string info = kInfo;
    Append(&info, from.bytes);
    Append(&info, to.bytes);
    return Expand(&secret, std::move(salt), std::move(info));
  };
  auto out = direction(own_session, other.session, own_key, other.key);
  auto in = direction(other.session, own_session, other.key, own_key);
  OPENSSL_cleanse(secret.data(), secret.size());
  if (!out.ok()) return out.error();
  if (!in.ok()) return in.error();
  return EspSecrets{*out, *in};
}

}  // namespace strata::net
