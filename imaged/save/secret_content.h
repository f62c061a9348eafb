// Secrets that show in what a file holds: private key blocks (RFC 7468, RFC 4880, OpenSSH's
// PROTOCOL.key) and access tokens whose form their issuer documents. Thread-safe.
//
// A fixed beginning is looked for first, all of them in one pass (S. Wu and U. Manber, "A Fast
// Algorithm for Multi-Pattern Searching", 1994); then what follows must have the form, so that
// text about keys is none.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "imaged/save/secret_rules.h"

namespace strata::imaged {

// Larger files are data, and what is binary is none of these.
inline constexpr uint64_t kSecretContentMax = 1 << 20;

// `pattern` is how the secret begins; they hold outside what packages ship.
std::span<const SecretRule> SecretContentRules();

// The rule for the first secret in `content`; null when there is none, or it holds a NUL.
const SecretRule* FindSecretContent(std::string_view content);

}  // namespace strata::imaged
