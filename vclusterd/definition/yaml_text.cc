#include "vclusterd/definition/yaml_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace strata::vcluster::file {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kFlowMax = 76;  // Longer lists and maps take a line for each entry.

bool IsLetter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// What some reader of YAML takes for something else than a text.
bool IsReserved(std::string_view text) {
  static constexpr std::array<std::string_view, 9> kWords = {"true", "false", "yes", "no", "on",
                                                             "off",  "null",  "y",   "n"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

// "4G", "30s": digits and a unit, but nothing like "1e5" or "0x1f".
bool IsQuantity(std::string_view text) {
  static constexpr std::array<std::string_view, 13> kUnits = {
      "K", "M", "G", "T", "ms", "s", "m", "h", "d", "bit", "kbit", "Mbit", "Gbit"};
  const size_t digits = text.find_first_not_of("0123456789");
  return digits != 0 && digits != std::string_view::npos &&
         std::find(kUnits.begin(), kUnits.end(), text.substr(digits)) != kUnits.end();
}

bool IsPlain(std::string_view text) {
  if (IsQuantity(text)) return true;
  if (text.empty() || IsReserved(text) || !(IsLetter(text[0]) || text[0] == '/')) return false;
  if (text.back() == ' ' || text.back() == ':') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool safe = IsLetter(c) || IsDigit(c) ||
                      std::string_view(" _./@=+-:").find(c) != std::string_view::npos;
    if (!safe || (c == ':' && text[i + 1] == ' ')) return false;
  }
  return true;
}

std::string ScalarText(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (IsPlain(text)) return text;
  }
  // JSON's quotes are YAML's too.
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string KeyText(const std::string& key) { return ScalarText(Json(key)); }

// A text of several lines that a block ("|") holds as it is. Blanks at the end of a line would be
// lost in editors, and a first line that is indented would need an indicator.
bool IsBlock(const Json& value) {
  if (!value.is_string()) return false;
  std::string_view text = value.get_ref<const std::string&>();
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.find('\n') == std::string_view::npos) return false;
  if (text.front() == ' ' || text.front() == '\n' || text.back() == '\n') return false;
  while (true) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.starts_with('\t') || line.ends_with(' ') || line.ends_with('\t')) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

std::string BlockText(std::string_view text, const std::string& indent) {
  std::string out = text.ends_with('\n') ? "|" : "|-";
  if (text.ends_with('\n')) text.remove_suffix(1);
  while (true) {
    const size_t end = text.find('\n');
    out += "\n";
    if (end != 0) out += indent;  // No blanks in empty lines.
    out += text.substr(0, end);
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

// Behind "key:" or "- ": from the blank before the value to the end of its last line.
void AppendValue(const Json& value, const std::string& indent, std::string* out);

void AppendMap(const Json& map, const std::string& indent, bool first_is_inline, std::string* out) {
  bool is_inline = first_is_inline;
  for (const auto& [key, value] : map.items()) {
    if (!is_inline) *out += indent;
    is_inline = false;
    *out += KeyText(key) + ":";
    AppendValue(value, indent + "  ", out);
  }
}

bool HoldsBlock(const Json& value) {
  if (!value.is_structured()) return IsBlock(value);
  return std::any_of(value.begin(), value.end(), HoldsBlock);
}

bool NeedsLines(const Json& value) {
  if (!value.is_structured() || value.empty()) return false;
  const bool map_of_maps =
      value.is_object() &&
      std::any_of(value.begin(), value.end(), [](const Json& inner) { return inner.is_object(); });
  return map_of_maps || HoldsBlock(value) || FlowText(value).size() > kFlowMax;
}

void AppendValue(const Json& value, const std::string& indent, std::string* out) {
  if (IsBlock(value)) {
    *out += " " + BlockText(value.get_ref<const std::string&>(), indent) + "\n";
  } else if (!NeedsLines(value)) {
    *out += " " + FlowText(value) + "\n";
  } else if (value.is_object()) {
    *out += "\n";
    AppendMap(value, indent, false, out);
  } else {
    *out += "\n";
    for (const Json& item : value) {
      *out += indent + "-";
      if (item.is_object() && NeedsLines(item)) {
        *out += " ";
        AppendMap(item, indent + "  ", true, out);
      } else {
        AppendValue(item, indent + "  ", out);
      }
    }
  }
}

}  // namespace

std::string FlowText(const Json& value) {
  if (!value.is_structured()) return ScalarText(value);
  std::string text;
  for (const auto& [key, inner] : value.items()) {
    if (!text.empty()) text += ", ";
    if (value.is_object()) text += KeyText(key) + ": ";
    text += FlowText(inner);
  }
  return value.is_object() ? "{" + text + "}" : "[" + text + "]";
}

std::string YamlText(const Json& map) {
  std::string out;
  AppendMap(map, "", false, &out);
  return out;
}

}  // namespace strata::vcluster::file
