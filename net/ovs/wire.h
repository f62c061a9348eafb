// Integers in network order, put into and taken from bytes. Not part of the interface of net/ovs.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace strata::net {

class WireWriter {
 public:
  template <std::unsigned_integral T>
  WireWriter& Put(T value) {
    for (int shift = (static_cast<int>(sizeof(T)) - 1) * 8; shift >= 0; shift -= 8) {
      bytes_.push_back(static_cast<char>((value >> shift) & 0xff));
    }
    return *this;
  }
  WireWriter& PutBytes(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }
  WireWriter& PutZeros(size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }
  WireWriter& PadTo(size_t alignment) {
    return PutZeros((alignment - bytes_.size() % alignment) % alignment);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// After a call for more than there is, it has failed, and all that it gives is zero.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T Take() {
    T value = 0;
    for (const char byte : TakeBytes(sizeof(T))) {
      value = static_cast<T>(static_cast<uint64_t>(value) << 8 | static_cast<uint8_t>(byte));
    }
    return value;
  }
  std::string_view TakeBytes(size_t count) {
    if (count > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  void Skip(size_t count) { (void)TakeBytes(count); }
  std::string_view rest() const { return rest_; }
  bool failed() const { return failed_; }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace strata::net
