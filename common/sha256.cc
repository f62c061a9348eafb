#include "common/sha256.h"

#include <openssl/evp.h>

#include "common/log.h"

namespace strata {
namespace {

constexpr std::string_view kPrefix = "sha256:";

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Result<Sha256Digest> Sha256Digest::Parse(std::string_view text) {
  if (text.starts_with(kPrefix)) return FromHex(text.substr(kPrefix.size()));
  const std::string shown(text.substr(0, 100));
  if (text.find(':') != std::string_view::npos) {
    return Error(Code::kUnsupported, "the digest '" + shown + "' is not of sha256");
  }
  return Error(Code::kInvalidArgument, "'" + shown + "' is no digest: sha256:<64 hex digits>");
}

Result<Sha256Digest> Sha256Digest::FromHex(std::string_view hex) {
  Bytes bytes{};
  bool good = hex.size() == 2 * kSize;
  for (size_t i = 0; good && i < kSize; ++i) {
    const int high = HexValue(hex[2 * i]);
    const int low = HexValue(hex[2 * i + 1]);
    good = high >= 0 && low >= 0;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (good) return Sha256Digest(bytes);
  return Error(Code::kInvalidArgument,
               "'" + std::string(hex.substr(0, 100)) + "' is no sha256: 64 lower-case hex digits");
}

std::string Sha256Digest::Hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : bytes_) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

struct Sha256Hasher::State {
  State() : context(::EVP_MD_CTX_new()) {
    CHECK(context != nullptr && ::EVP_DigestInit_ex(context, ::EVP_sha256(), nullptr) == 1);
  }
  ~State() { ::EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  EVP_MD_CTX* context;
};

Sha256Hasher::Sha256Hasher() : state_(std::make_unique<State>()) {}
Sha256Hasher::~Sha256Hasher() = default;
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;

void Sha256Hasher::Update(std::string_view data) {
  CHECK(::EVP_DigestUpdate(state_->context, data.data(), data.size()) == 1);
}

Sha256Digest Sha256Hasher::Finish() {
  Sha256Digest::Bytes bytes{};
  CHECK(::EVP_DigestFinal_ex(state_->context, bytes.data(), nullptr) == 1);
  return Sha256Digest(bytes);
}

Sha256Digest Sha256Hasher::Of(std::string_view data) {
  Sha256Hasher hasher;
  hasher.Update(data);
  return hasher.Finish();
}

}  // namespace strata
