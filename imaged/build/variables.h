// $NAME, ${NAME}, ${NAME:-word}, ${NAME:+word}, ${NAME:?message} (and without the colon), quotes
// and escapes in the words of a Dockerfile, as Docker replaces them. Pure functions, thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::imaged::build {

inline constexpr size_t kExpandedBytesMax = 1u << 20;

using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

// One word, with its quotes taken away. kInvalidArgument: a quote or brace is open, or a variable
// that must be set is not; kUnsupported: patterns (${NAME#…}); kResourceExhausted.
Result<std::string> ExpandWord(std::string_view text, const VariableLookup& lookup, char escape);

// Words of a text; what an unquoted variable holds may be several.
Result<std::vector<std::string>> ExpandWords(std::string_view text, const VariableLookup& lookup,
                                             char escape);

// A heredoc's lines: variables alone, quotes stay.
Result<std::string> ExpandLines(std::string_view text, const VariableLookup& lookup, char escape);

}  // namespace strata::imaged::build
