// base64url without padding (RFC 4648, section 5): bytes in URLs, tokens and JSON web tokens.
// Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace strata {

std::string Base64Url(std::string_view bytes);
// nullopt for a character that is none of the alphabet's, and for bits that belong to no byte: of
// two texts only one stands for the same bytes.
std::optional<std::string> ParseBase64Url(std::string_view text);

}  // namespace strata
