// Ed25519 keys in OpenSSH's formats (PROTOCOL.key of OpenSSH; RFC 8709), without running ssh-keygen
// for each of hundreds of nodes. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::vcluster {

inline constexpr size_t kSshSeedSize = 32;

struct SshKeyPair {
  std::string public_line;   // "ssh-ed25519 AAAA… comment"
  std::string private_file;  // "-----BEGIN OPENSSH PRIVATE KEY-----…"
};

// `size` bytes from the kernel's generator.
Result<std::string> RandomBytes(size_t size);

// The key pair of a seed; the same seed gives the same pair. kInvalidArgument: not 32 bytes.
Result<SshKeyPair> MakeSshKeyPair(std::string_view seed, const std::string& comment);

std::string ToHex(std::string_view bytes);
Result<std::string> FromHex(std::string_view hex);

}  // namespace strata::vcluster
