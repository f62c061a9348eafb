// Keys of WireGuard: Curve25519 key pairs (RFC 7748) and preshared keys, as values.
//
// Thread-safe. Secrets are wiped when they go.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::net {

inline constexpr size_t kKeyBytes = 32;
using KeyBytes = std::array<uint8_t, kKeyBytes>;

struct PublicKey {
  KeyBytes bytes{};

  // Base64 with padding, 44 characters: as wg(8) writes keys.
  std::string ToString() const;
  static Result<PublicKey> Parse(std::string_view text);
  auto operator<=>(const PublicKey&) const = default;
};

// A private key, or a preshared one; all zeros: none.
class SecretKey {
 public:
  SecretKey() = default;
  explicit SecretKey(const KeyBytes& bytes) : bytes_(bytes) {}
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey();

  static Result<SecretKey> GeneratePrivate();
  static Result<SecretKey> GeneratePreshared();
  // Of what ToString wrote. kCorrupt for anything else; the error does not tell the text.
  static Result<SecretKey> Parse(std::string_view text);

  const KeyBytes& bytes() const { return bytes_; }
  bool is_none() const;
  // The public half of a private key.
  Result<PublicKey> Public() const;
  // What both compute (X25519). kInvalidArgument: `other` is no key, zeros would come out.
  Result<SecretKey> SharedWith(const PublicKey& other) const;
  // Base64 with padding. A secret.
  std::string ToString() const;
  // In constant time.
  friend bool operator==(const SecretKey& a, const SecretKey& b);

 private:
  KeyBytes bytes_{};
};

}  // namespace strata::net
