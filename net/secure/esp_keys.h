// Keys of ESP between two hosts (RFC 4303, RFC 4106: AES-GCM), which both compute and nobody sends.
//
// A host has its lasting key, and a session: a second key pair, which it makes anew whenever it may
// have to begin its counters anew, and whose public half the others are told. AES-GCM is broken by
// one key with one counter twice, so every key here is of one session at each end, and is put into
// the kernel once (net/secure/esp_session.h). By HKDF (RFC 5869) with SHA-256:
//   secret  X25519 of the lasting keys, X25519 of the sessions, the preshared key or zeros
//   salt    session of the sender, session of the receiver
//   info    "strata esp 1", lasting key of the sender, lasting key of the receiver
//   result  36 bytes of key (AES-256, and the salt of RFC 4106, section 8.1), 4 of SPI
// The lasting keys say who it is; the sessions, once forgotten, keep the past secret.
#pragma once

#include <array>
#include <cstdint>

#include "net/secure/keys.h"

namespace strata::net {

class EspKey {
 public:
  static constexpr size_t kBytes = 36;
  using Bytes = std::array<uint8_t, kBytes>;
  EspKey() = default;
  explicit EspKey(const Bytes& bytes) : bytes_(bytes) {}
  EspKey(const EspKey&) = default;
  EspKey& operator=(const EspKey&) = default;
  ~EspKey();
  const Bytes& bytes() const { return bytes_; }
  friend bool operator==(const EspKey& a, const EspKey& b);  // In constant time.

 private:
  Bytes bytes_{};
};

// One direction.
struct EspSecret {
  uint32_t spi = 0;  // 256 and more.
  EspKey key;
};
struct EspSecrets {
  EspSecret out;
  EspSecret in;
};

struct EspSelf {
  SecretKey key;
  SecretKey session;
};
struct EspOther {
  PublicKey key;
  PublicKey session;
  SecretKey preshared;
};

// Pure. kInvalidArgument: a public key that is none (all would compute zeros with it).
Result<EspSecrets> DeriveEspSecrets(const EspSelf& self, const EspOther& other);

}  // namespace strata::net
