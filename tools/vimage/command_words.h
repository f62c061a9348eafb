// The words of --command.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace strata::tools {

// Splits at blanks; a text that starts with '[' is a JSON list of strings instead. Empty: no words.
Result<std::vector<std::string>> CommandWords(const std::string& text);

}  // namespace strata::tools
