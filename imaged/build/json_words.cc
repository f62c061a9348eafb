// The exec form of an instruction: ["word", "word"] (RFC 8259, lists of strings alone).
#include "imaged/build/dockerfile.h"

namespace strata::imaged::build {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::optional<std::vector<std::string>> List() {
    std::vector<std::string> words;
    if (!Take('[')) return std::nullopt;
    if (Take(']')) return AtEnd(std::move(words));
    do {
      SkipBlanks();
      std::string word;
      if (!Text(&word) || words.size() == kWordsMax) return std::nullopt;
      words.push_back(std::move(word));
    } while (Take(','));
    if (!Take(']')) return std::nullopt;
    return AtEnd(std::move(words));
  }

 private:
  std::optional<std::vector<std::string>> AtEnd(std::vector<std::string> words) {
    SkipBlanks();
    if (!rest_.empty()) return std::nullopt;
    return words;
  }

  void SkipBlanks() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }

  bool Take(char wanted) {
    SkipBlanks();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool Text(std::string* text) {
    if (rest_.empty() || rest_.front() != '"') return false;
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        text->push_back(c);
      } else if (!Escape(text)) {
        return false;
      }
    }
    return false;
  }

  bool Escape(std::string* text) {
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (const size_t at = kNames.find(c); at != std::string_view::npos) {
      text->push_back(kMeant[at]);
      return true;
    }
    return c == 'u' && Unicode(text);
  }

  bool Hex4(uint32_t* value) {
    if (rest_.size() < 4) return false;
    *value = 0;
    for (const char c : rest_.substr(0, 4)) {
      const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      if (!letter && (c < '0' || c > '9')) return false;
      *value = *value * 16 + static_cast<uint32_t>(letter ? (c | 0x20) - 'a' + 10 : c - '0');
    }
    rest_.remove_prefix(4);
    return true;
  }

  bool Unicode(std::string* text) {
    uint32_t code = 0;
    if (!Hex4(&code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {  // The first half of a pair.
      uint32_t low = 0;
      if (!rest_.starts_with("\\u")) return false;
      rest_.remove_prefix(2);
      if (!Hex4(&low) || low < 0xdc00 || low > 0xdfff) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      return false;
    }
    if (code == 0) return false;  // No word of a command holds it.
    AppendUtf8(code, text);
    return true;
  }

  static void AppendUtf8(uint32_t code, std::string* text) {
    if (code < 0x80) {
      text->push_back(static_cast<char>(code));
      return;
    }
    const int tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    constexpr uint8_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
    text->push_back(static_cast<char>(kLead[tail] | (code >> (6 * tail))));
    for (int i = tail - 1; i >= 0; --i) {
      text->push_back(static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3f)));
    }
  }

  std::string_view rest_;
};

}  // namespace

std::optional<std::vector<std::string>> ParseJsonWords(std::string_view text) {
  return Reader(text).List();
}

}  // namespace strata::imaged::build
