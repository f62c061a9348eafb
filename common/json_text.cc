#include "common/json_text.h"

#include <string>

namespace strata {
namespace {

// The parser itself has no bound of depth.
bool IsTooDeep(std::string_view text, size_t depth_max) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > depth_max) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<nlohmann::json> ParseJsonText(std::string_view text, size_t bytes_max, size_t depth_max) {
  if (text.size() > bytes_max) {
    return Error(Code::kResourceExhausted,
                 "more than " + std::to_string(bytes_max) + " bytes of JSON");
  }
  if (IsTooDeep(text, depth_max)) {
    return Error(Code::kResourceExhausted, "JSON nested deeper than " + std::to_string(depth_max));
  }
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Error(Code::kInvalidArgument, "this is no JSON");
  return json;
}

}  // namespace strata
