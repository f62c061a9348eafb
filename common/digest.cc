#include "common/digest.h"

#include <blake3.h>
#include <unistd.h>

#include <vector>

namespace strata {
namespace {

constexpr std::string_view kPrefix = "blake3:";
constexpr size_t kReadSize = 256 * 1024;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Result<Digest> Digest::FromHex(std::string_view hex) {
  if (hex.size() != 2 * kSize) {
    return Error(Code::kInvalidArgument,
                 "a digest has 64 hex digits, not " + std::to_string(hex.size()) + " characters");
  }
  Bytes bytes;
  for (size_t i = 0; i < kSize; ++i) {
    const int high = HexValue(hex[2 * i]);
    const int low = HexValue(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      return Error(Code::kInvalidArgument, "not a digest: '" + std::string(hex) + "'");
    }
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return Digest(bytes);
}

Result<Digest> Digest::Parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) {
    return Error(Code::kInvalidArgument,
                 "a digest starts with 'blake3:': '" + std::string(text.substr(0, 100)) + "'");
  }
  return FromHex(text.substr(kPrefix.size()));
}

std::string Digest::Hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex(2 * kSize, '0');
  for (size_t i = 0; i < kSize; ++i) {
    hex[2 * i] = kDigits[bytes_[i] >> 4];
    hex[2 * i + 1] = kDigits[bytes_[i] & 15];
  }
  return hex;
}

struct Hasher::State {
  blake3_hasher hasher;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  // BLAKE3 looks at the CPU on its first use and keeps what it saw without a lock
  // (blake3_dispatch.c), so the first use must not be that of several threads.
  static const bool cpu_known = [] {
    blake3_hasher first;
    uint8_t out[Digest::kSize];
    blake3_hasher_init(&first);
    blake3_hasher_finalize(&first, out, sizeof(out));
    return true;
  }();
  (void)cpu_known;
  blake3_hasher_init(&state_->hasher);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::Update(const void* data, size_t size) {
  blake3_hasher_update(&state_->hasher, data, size);
}

Digest Hasher::Finish() const {
  Digest::Bytes bytes;
  blake3_hasher_finalize(&state_->hasher, bytes.data(), bytes.size());
  return Digest(bytes);
}

Digest Hasher::Of(std::string_view data) {
  Hasher hasher;
  hasher.Update(data);
  return hasher.Finish();
}

Result<Digest> HashFile(int fd, const CancelToken* cancel) {
  Hasher hasher;
  std::vector<char> buffer(kReadSize);
  off_t offset = 0;
  while (true) {
    if (cancel != nullptr) RETURN_IF_ERROR(cancel->Check());
    const ssize_t n = pread(fd, buffer.data(), buffer.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read");
    if (n == 0) return hasher.Finish();
    hasher.Update(buffer.data(), static_cast<size_t>(n));
    offset += n;
  }
}

}  // namespace strata
