// Random bytes for secrets, SHA-256 for fingerprints, and a comparison that takes the same time
// wherever two texts differ. Thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::pki {

constexpr size_t kSha256Bytes = 32;

// `size` bytes from the kernel's generator by way of OpenSSL's.
Result<std::string> RandomBytes(size_t size);
// 32 bytes.
std::string Sha256(std::string_view data);
std::string HexOf(std::string_view bytes);
bool EqualInConstantTime(std::string_view a, std::string_view b);

}  // namespace strata::pki
