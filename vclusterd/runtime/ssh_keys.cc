#include "vclusterd/runtime/ssh_keys.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace strata::vcluster {
namespace {

constexpr std::string_view kType = "ssh-ed25519";

// RFC 4251: a length in network order, then the bytes.
void PutString(std::string* out, std::string_view text) {
  const auto size = static_cast<uint32_t>(text.size());
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(size >> shift));
  out->append(text);
}

std::string Base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int n = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                  reinterpret_cast<const unsigned char*>(bytes.data()),
                                  static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(n));
  return text;
}

Result<std::string> PublicKeyOf(std::string_view seed) {
  struct Free {
    void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
  };
  const std::unique_ptr<EVP_PKEY, Free> key(::EVP_PKEY_new_raw_private_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(seed.data()), seed.size()));
  std::string bytes(32, '\0');
  size_t size = bytes.size();
  if (key == nullptr ||
      ::EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(bytes.data()),
                                    &size) != 1) {
    return Error(Code::kInternal, "libcrypto has no Ed25519");
  }
  return bytes;
}

// The list of one unencrypted key, as PROTOCOL.key has it.
std::string PrivateBlob(std::string_view seed, const std::string& public_key,
                        const std::string& public_blob, const std::string& comment) {
  std::string secret("\x53\x54\x52\x41\x53\x54\x52\x41", 8);  // Twice the same "check" number.
  PutString(&secret, kType);
  PutString(&secret, public_key);
  PutString(&secret, std::string(seed) + public_key);
  PutString(&secret, comment);
  for (char pad = 1; secret.size() % 8 != 0; ++pad) secret.push_back(pad);

  std::string blob("openssh-key-v1\0", 15);
  PutString(&blob, "none");
  PutString(&blob, "none");
  PutString(&blob, "");
  blob.append("\0\0\0\1", 4);
  PutString(&blob, public_blob);
  PutString(&blob, secret);
  return blob;
}

}  // namespace

Result<std::string> RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::getrandom(bytes.data() + done, size - done, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("getrandom");
    done += static_cast<size_t>(n);
  }
  return bytes;
}

Result<SshKeyPair> MakeSshKeyPair(std::string_view seed, const std::string& comment) {
  if (seed.size() != kSshSeedSize) {
    return Error(Code::kInvalidArgument, "an Ed25519 seed has 32 bytes");
  }
  ASSIGN_OR_RETURN(const std::string public_key, PublicKeyOf(seed));
  std::string public_blob;
  PutString(&public_blob, kType);
  PutString(&public_blob, public_key);
  SshKeyPair pair;
  pair.public_line = std::string(kType) + " " + Base64(public_blob) + " " + comment + "\n";
  const std::string text = Base64(PrivateBlob(seed, public_key, public_blob, comment));
  pair.private_file = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
  for (size_t at = 0; at < text.size(); at += 70) pair.private_file += text.substr(at, 70) + "\n";
  pair.private_file += "-----END OPENSSH PRIVATE KEY-----\n";
  return pair;
}

Result<std::shared_ptr<const SshKeyPair>> SshKeyPairs::Of(const std::string& seed,
                                                          const std::string& comment) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.seed == seed && kept.comment == comment;
  });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
  } else {
    ASSIGN_OR_RETURN(SshKeyPair pair, MakeSshKeyPair(seed, comment));
    kept_.push_front({seed, comment, std::make_shared<const SshKeyPair>(std::move(pair))});
    if (kept_.size() > kKept) kept_.pop_back();
  }
  return kept_.front().pair;
}

std::string ToHex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) {
    hex.push_back("0123456789abcdef"[static_cast<uint8_t>(byte) >> 4]);
    hex.push_back("0123456789abcdef"[static_cast<uint8_t>(byte) & 15]);
  }
  return hex;
}

Result<std::string> FromHex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  if (hex.size() % 2 != 0 || hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return Error(Code::kInvalidArgument, "not hexadecimal");
  }
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  }
  return bytes;
}

}  // namespace strata::vcluster
