// Secrets that show in what a file holds: private key blocks (RFC 7468, RFC 4880, OpenSSH's
// PROTOCOL.key) and access tokens whose form their issuer documents. Thread-safe.
//
// A fixed beginning alone is none: what follows must have the form too, so that text about keys
// stays. Every token is a whole word of letters, digits, '-' and '_'.
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

// The rule for a secret in `content`; null when there is none, or it holds a NUL.
const SecretRule* FindSecretContent(std::string_view content);

}  // namespace strata::imaged
