// Digest: the identity of content. BLAKE3-256 (https://github.com/BLAKE3-team/BLAKE3), always
// written with its algorithm: "blake3:" + 64 lower-case hex digits.
//
// Hasher computes one incrementally; it is not thread-safe. XXH3 lives in its users (index tables,
// change detection): it is never an identity that two users share.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/cancel.h"
#include "common/result.h"

namespace strata {

class Digest {
 public:
  static constexpr size_t kSize = 32;
  using Bytes = std::array<uint8_t, kSize>;

  Digest() = default;  // All zero: "no digest". IsZero() tells.
  explicit Digest(const Bytes& bytes) : bytes_(bytes) {}

  // "blake3:<64 hex>"; kInvalidArgument for anything else.
  static Result<Digest> Parse(std::string_view text);
  // The 64 hex digits alone, as object paths carry them.
  static Result<Digest> FromHex(std::string_view hex);

  std::string ToString() const { return "blake3:" + Hex(); }
  std::string Hex() const;
  // The first 12 hex digits, for people.
  std::string Short() const { return Hex().substr(0, 12); }
  // "ab/cdef…": the path of the object of this name in an object folder.
  std::string ObjectPath() const { return Hex().insert(2, 1, '/'); }
  const Bytes& bytes() const { return bytes_; }
  bool IsZero() const { return bytes_ == Bytes{}; }

  auto operator<=>(const Digest&) const = default;

 private:
  Bytes bytes_{};
};

struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t value;  // The digest's own bits are uniform.
    std::memcpy(&value, digest.bytes().data(), sizeof(value));
    return value;
  }
};

class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void Update(const void* data, size_t size);
  void Update(std::string_view data) { Update(data.data(), data.size()); }
  // The digest of everything given so far; more may follow.
  Digest Finish() const;

  static Digest Of(std::string_view data);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Hashes the file behind `fd` from its start to its end, by pread; the offset is left alone.
Result<Digest> HashFile(int fd, const CancelToken* cancel = nullptr);

}  // namespace strata
