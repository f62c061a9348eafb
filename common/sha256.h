// SHA-256 (FIPS 180-4) through OpenSSL's EVP, for formats of others that name content by it: OCI
// images, registries. Strata's own digest is BLAKE3 (common/digest.h).
//
// Sha256Hasher computes one incrementally; it is not thread-safe.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata {

class Sha256Digest {
 public:
  static constexpr size_t kSize = 32;
  using Bytes = std::array<uint8_t, kSize>;

  Sha256Digest() = default;  // All zero: "no digest". IsZero() tells.
  explicit Sha256Digest(const Bytes& bytes) : bytes_(bytes) {}

  // "sha256:<64 lower-case hex digits>"; kInvalidArgument for anything else, kUnsupported for
  // another algorithm.
  static Result<Sha256Digest> Parse(std::string_view text);
  // The 64 hex digits alone, as blobs of an OCI layout are named.
  static Result<Sha256Digest> FromHex(std::string_view hex);

  std::string ToString() const { return "sha256:" + Hex(); }
  std::string Hex() const;
  bool IsZero() const { return bytes_ == Bytes{}; }

  auto operator<=>(const Sha256Digest&) const = default;

 private:
  Bytes bytes_{};
};

class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;

  void Update(std::string_view data);
  // The digest of everything that was given. Called once.
  Sha256Digest Finish();

  static Sha256Digest Of(std::string_view data);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strata
