// Ed25519 keys in OpenSSH's formats (PROTOCOL.key of OpenSSH; RFC 8709), without running ssh-keygen
// for each of hundreds of nodes. Thread-safe.
#pragma once

#include <list>
#include <memory>
#include <mutex>
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

// Key pairs of the seeds that were asked for last: all nodes of a Vcluster have the same.
class SshKeyPairs {
 public:
  // As MakeSshKeyPair, of which it remembers the successes.
  Result<std::shared_ptr<const SshKeyPair>> Of(const std::string& seed, const std::string& comment);

 private:
  static constexpr size_t kKept = 128;
  struct Kept {
    std::string seed;
    std::string comment;
    std::shared_ptr<const SshKeyPair> pair;
  };

  std::mutex mutex_;      // Guards kept_.
  std::list<Kept> kept_;  // The last asked for first.
};

std::string ToHex(std::string_view bytes);
Result<std::string> FromHex(std::string_view hex);

}  // namespace strata::vcluster
