#include "imaged/peers/join_token.h"

#include "common/base64url.h"
#include "common/log.h"
#include "common/pki/certificate.h"
#include "common/pki/random.h"
#include "common/rpc/tls_connection.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kPrefix = "strata1-";
constexpr size_t kTextMax = 1024;
constexpr size_t kChecksumBytes = 4;

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
  return std::string(kPrefix) + Base64Url(bytes);
}

Result<JoinToken> ParseToken(std::string_view text) {
  const Error wrong(Code::kInvalidArgument,
                    "this is not a token of 'vimage host token', or not all of it");
  if (text.size() > kTextMax || !text.starts_with(kPrefix)) return wrong;
  const auto parsed = ParseBase64Url(text.substr(kPrefix.size()));
  if (!parsed || parsed->size() < kChecksumBytes) return wrong;
  std::string bytes = *parsed;
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
