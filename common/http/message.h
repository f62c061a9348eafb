// What HTTP requests and answers are made of (RFC 9110), for server.h and client.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::http {

struct Field {
  std::string name;
  std::string value;
};
using Fields = std::vector<Field>;

// The value of the first field of that name, whatever its case; "" when there is none.
std::string_view Find(const Fields& fields, std::string_view name);

// kInvalidArgument for a wrong escape, and for a zero byte, escaped or not.
Result<std::string> PercentDecode(std::string_view text);
// Everything but letters, digits and "-._~" becomes an escape.
std::string PercentEncode(std::string_view text);
// "a=1&b=%20": decoded, '+' is a blank. At most 64 of them.
Result<Fields> ParseQuery(std::string_view query);

// Standard base64 with padding (RFC 4648).
std::string Base64(std::string_view bytes);
std::optional<std::string> ParseBase64(std::string_view text);

// One challenge of a WWW-Authenticate field: Bearer realm="…",service="…".
struct Challenge {
  std::string scheme;  // In lower case.
  Fields parameters;
};
// The first of them that has parameters or stands alone; nullopt for what is none.
std::optional<Challenge> ParseChallenge(std::string_view text);

}  // namespace strata::http
