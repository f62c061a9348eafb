#include "imaged/peers/join_token.h"

#include "common/log.h"
#include "common/pki/certificate.h"
#include "common/pki/random.h"
#include "common/rpc/tls_connection.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kPrefix = "strata1-";
constexpr size_t kTextMax = 1024;
constexpr size_t kChecksumBytes = 4;
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string ToBase64Url(std::string_view bytes) {
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) text += kAlphabet[(bits >> (count - 6)) & 63];
  }
  if (count > 0) text += kAlphabet[(bits << (6 - count)) & 63];
  return text;
}

// False for a character that is none of the alphabet's, and for bits that belong to no byte.
bool FromBase64Url(std::string_view text, std::string* bytes) {
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return false;
    bits = (bits << 6) | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      *bytes += static_cast<char>((bits >> count) & 255);
    }
  }
  return count < 6 && (bits & ((1u << count) - 1)) == 0;
}

// Takes `size` bytes off the front; false when there are not as many.
bool Take(std::string_view* from, size_t size, std::string* to) {
  if (from->size() < size) return false;
  *to = from->substr(0, size);
  from->remove_prefix(size);
  return true;
}

bool TakeCounted(std::string_view* from, std::string* to) {
  if (from->empty()) return false;
  const auto size = static_cast<unsigned char>(from->front());
  from->remove_prefix(1);
  return Take(from, size, to);
}

}  // namespace

std::string EncodeToken(const JoinToken& token) {
  CHECK(token.host_name.size() < 256 && token.address.size() < 256);
  CHECK(token.authority_sha256.size() == pki::kSha256Bytes);
  CHECK(token.secret.size() == kTokenSecretBytes);
  std::string bytes;
  for (const std::string& text : {token.host_name, token.address}) {
    bytes += static_cast<char>(text.size());
    bytes += text;
  }
  bytes += token.authority_sha256 + token.secret;
  bytes += pki::Sha256(bytes).substr(0, kChecksumBytes);
  return std::string(kPrefix) + ToBase64Url(bytes);
}

Result<JoinToken> ParseToken(std::string_view text) {
  const Error wrong(Code::kInvalidArgument,
                    "this is not a token of 'vimage host token', or not all of it");
  std::string bytes;
  if (text.size() > kTextMax || !text.starts_with(kPrefix) ||
      !FromBase64Url(text.substr(kPrefix.size()), &bytes) || bytes.size() < kChecksumBytes) {
    return wrong;
  }
  const std::string checksum = bytes.substr(bytes.size() - kChecksumBytes);
  bytes.resize(bytes.size() - kChecksumBytes);
  if (pki::Sha256(bytes).substr(0, kChecksumBytes) != checksum) return wrong;
  JoinToken token;
  std::string_view rest = bytes;
  if (!TakeCounted(&rest, &token.host_name) || !TakeCounted(&rest, &token.address) ||
      !Take(&rest, pki::kSha256Bytes, &token.authority_sha256) ||
      !Take(&rest, kTokenSecretBytes, &token.secret) || !rest.empty() ||
      !pki::IsHostName(token.host_name) || !rpc::CheckAddress(token.address).ok()) {
    return wrong;
  }
  return token;
}

}  // namespace strata::imaged
