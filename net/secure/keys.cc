#include "net/secure/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "common/base64url.h"
#include "common/pki/openssl_error.h"
#include "common/pki/random.h"

namespace strata::net {
namespace {

constexpr size_t kKeyCharacters = 44;

std::string Base64(const KeyBytes& bytes) {
  std::string text = Base64Url({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  return text + "=";
}

std::optional<KeyBytes> ParseBase64(std::string_view text) {
  if (text.size() != kKeyCharacters || text.back() != '=' ||
      text.find_first_of("-_") != std::string_view::npos) {
    return std::nullopt;
  }
  std::string url(text.substr(0, text.size() - 1));
  std::replace(url.begin(), url.end(), '+', '-');
  std::replace(url.begin(), url.end(), '/', '_');
  auto parsed = ParseBase64Url(url);
  std::optional<KeyBytes> bytes;
  if (parsed && parsed->size() == kKeyBytes) {
    bytes.emplace();
    std::copy(parsed->begin(), parsed->end(), bytes->begin());
  }
  if (parsed) OPENSSL_cleanse(parsed->data(), parsed->size());
  OPENSSL_cleanse(url.data(), url.size());
  return bytes;
}

using OwnedKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

OwnedKey PrivateOf(const KeyBytes& bytes) {
  return {EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, bytes.data(), bytes.size()),
          EVP_PKEY_free};
}

Result<KeyBytes> Random() {
  ASSIGN_OR_RETURN(std::string random, pki::RandomBytes(kKeyBytes));
  KeyBytes bytes;
  std::copy(random.begin(), random.end(), bytes.begin());
  OPENSSL_cleanse(random.data(), random.size());
  return bytes;
}

}  // namespace

std::string PublicKey::ToString() const { return Base64(bytes); }

Result<PublicKey> PublicKey::Parse(std::string_view text) {
  const auto bytes = ParseBase64(text);
  if (!bytes) {
    return Error(Code::kInvalidArgument, "not a public key of WireGuard, 44 characters of base64");
  }
  return PublicKey{*bytes};
}

SecretKey::~SecretKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

Result<SecretKey> SecretKey::GeneratePrivate() {
  ASSIGN_OR_RETURN(KeyBytes bytes, Random());
  // RFC 7748, section 5. Here, since drivers do it too: what they are asked for is what was set.
  bytes[0] &= 248;
  bytes[31] = static_cast<uint8_t>((bytes[31] & 127) | 64);
  return SecretKey(bytes);
}

Result<SecretKey> SecretKey::GeneratePreshared() {
  ASSIGN_OR_RETURN(const KeyBytes bytes, Random());
  return SecretKey(bytes);
}

Result<SecretKey> SecretKey::Parse(std::string_view text) {
  const auto bytes = ParseBase64(text);
  if (!bytes) return Error(Code::kCorrupt, "not a key of WireGuard, 44 characters of base64");
  return SecretKey(*bytes);
}

bool SecretKey::is_none() const { return *this == SecretKey(); }

Result<PublicKey> SecretKey::Public() const {
  const OwnedKey key = PrivateOf(bytes_);
  PublicKey result;
  size_t size = result.bytes.size();
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), result.bytes.data(), &size) != 1 ||
      size != result.bytes.size()) {
    return pki::OpensslError(Code::kInternal, "public half of a Curve25519 key");
  }
  return result;
}

Result<SecretKey> SecretKey::SharedWith(const PublicKey& other) const {
  const OwnedKey own = PrivateOf(bytes_);
  const OwnedKey theirs(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, other.bytes.data(), other.bytes.size()),
      EVP_PKEY_free);
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new(own.get(), nullptr), EVP_PKEY_CTX_free);
  SecretKey shared;
  size_t size = shared.bytes_.size();
  if (context == nullptr || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), theirs.get()) != 1 ||
      EVP_PKEY_derive(context.get(), shared.bytes_.data(), &size) != 1 || shared.is_none()) {
    return pki::OpensslError(Code::kInvalidArgument, "a secret with " + other.ToString());
  }
  return shared;
}

std::string SecretKey::ToString() const { return Base64(bytes_); }

bool operator==(const SecretKey& a, const SecretKey& b) {
  return CRYPTO_memcmp(a.bytes_.data(), b.bytes_.data(), kKeyBytes) == 0;
}

}  // namespace strata::net
