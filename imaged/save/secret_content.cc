#include "imaged/save/secret_content.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace strata::imaged {
namespace {

using enum SecretCategory;
using enum SecretAction;

constexpr std::string_view kTokenWhy = "holds an access token";

constexpr bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsLetter(char c) { return IsAlnum(c) && !IsDigit(c); }
constexpr bool IsWord(char c) { return IsAlnum(c) || c == '_'; }
constexpr bool IsUrlSafe(char c) { return IsWord(c) || c == '-'; }
bool IsBase64(char c) { return IsAlnum(c) || c == '+' || c == '/' || c == '='; }
bool IsBase32(char c) { return (c >= 'A' && c <= 'Z') || (c >= '2' && c <= '7'); }
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// How many characters of a kind `text` begins with.
size_t Run(std::string_view text, bool (*is)(char)) {
  return static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is) - text.begin());
}

// What follows a token's beginning, up to the end of the word that it is.
template <size_t kCount, bool (*kIs)(char)>
bool Exactly(std::string_view rest) {
  return Run(rest, kIs) == kCount;
}

template <size_t kCount, bool (*kIs)(char)>
bool AtLeast(std::string_view rest) {
  return Run(rest, kIs) >= kCount;
}

// Amazon's documentation uses keys that end in EXAMPLE.
bool IsAwsKeyId(std::string_view rest) {
  return Exactly<16, IsBase32>(rest) && !rest.ends_with("EXAMPLE");
}

// xoxb-<digits>-…
bool IsSlackToken(std::string_view rest) {
  const size_t digits = Run(rest, IsDigit);
  return digits >= 10 && rest.size() > digits + 20 && rest[digits] == '-';
}

// "T3BlbkFJ" (OpenAI in base64) is in the middle.
bool IsOpenAiKey(std::string_view rest) {
  constexpr std::string_view kMiddle = "T3BlbkFJ";
  const size_t at = rest.find(kMiddle);
  return at != std::string_view::npos && at >= 17 && rest.size() - at - kMiddle.size() >= 20;
}

// Skips white space, and line ends as a JSON string has them.
void SkipBreaks(std::string_view* text) {
  while (!text->empty()) {
    if (IsSpace(text->front())) {
      text->remove_prefix(1);
    } else if (text->starts_with("\\n") || text->starts_with("\\r")) {
      text->remove_prefix(2);
    } else {
      return;
    }
  }
}

// A key's own lines, not a mention of its header: "-----BEGIN … PRIVATE KEY-----", perhaps headers
// ("Proc-Type: …"), and at least one line's worth of base64.
bool IsPrivateKey(std::string_view before, std::string_view rest) {
  if (!before.empty() && !IsSpace(before.back()) && before.back() != '"' && before.back() != '\'') {
    return false;
  }
  constexpr size_t kLabelMax = 40;
  constexpr size_t kKeyCharactersMin = 64;
  constexpr int kHeadersMax = 16;
  const size_t end = rest.substr(0, kLabelMax).find("-----");
  if (end == std::string_view::npos) return false;
  const std::string_view label = rest.substr(0, end);
  if (!label.ends_with("PRIVATE KEY") && label != "PGP PRIVATE KEY BLOCK") return false;
  std::string_view body = rest.substr(end + 5);
  size_t characters = 0;
  int headers = 0;
  for (SkipBreaks(&body); characters < kKeyCharactersMin; SkipBreaks(&body)) {
    const size_t run = Run(body, IsBase64);
    const std::string_view behind = body.substr(run);
    if (characters == 0 && (behind.starts_with(": ") || behind.starts_with('-'))) {
      const size_t line = body.find('\n');  // A header; "Proc-Type" has a dash.
      if (line == std::string_view::npos || body.starts_with("-----")) return false;
      if (++headers > kHeadersMax) return false;  // Or many such lines would be read many times.
      body.remove_prefix(line);
      continue;
    }
    if (run == 0) return false;
    characters += run;
    body = behind;
  }
  return true;
}

struct TokenRule {
  SecretRule rule;
  bool (*matches)(std::string_view rest);
};

constexpr SecretRule kKeyRule = {kPrivateKey, "-----BEGIN ", kRemove, "holds a private key"};

constexpr std::array kTokenRules = {
    // https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
    TokenRule{{kCredential, "ghp_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    TokenRule{{kCredential, "gho_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    TokenRule{{kCredential, "ghu_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    TokenRule{{kCredential, "ghs_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    TokenRule{{kCredential, "ghr_", kRemove, kTokenWhy}, AtLeast<36, IsAlnum>},
    TokenRule{{kCredential, "github_pat_", kRemove, kTokenWhy}, Exactly<82, IsWord>},
    TokenRule{{kCredential, "glpat-", kRemove, kTokenWhy}, AtLeast<20, IsUrlSafe>},
    // "IAM identifiers" of Amazon's IAM User Guide: long-term and temporary access keys.
    TokenRule{{kCredential, "AKIA", kRemove, kTokenWhy}, IsAwsKeyId},
    TokenRule{{kCredential, "ASIA", kRemove, kTokenWhy}, IsAwsKeyId},
    // https://api.slack.com/concepts/token-types
    TokenRule{{kCredential, "xoxb-", kRemove, kTokenWhy}, IsSlackToken},
    TokenRule{{kCredential, "xoxp-", kRemove, kTokenWhy}, IsSlackToken},
    TokenRule{{kCredential, "AIza", kRemove, kTokenWhy}, Exactly<35, IsUrlSafe>},
    TokenRule{{kCredential, "sk-ant-", kRemove, kTokenWhy}, AtLeast<80, IsUrlSafe>},
    TokenRule{{kCredential, "sk-", kRemove, kTokenWhy}, IsOpenAiKey},
    TokenRule{{kCredential, "hf_", kRemove, kTokenWhy}, Exactly<34, IsLetter>},
    TokenRule{{kCredential, "npm_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    // A macaroon of PyPI, as its help on API tokens shows it.
    TokenRule{{kCredential, "pypi-AgEIcHlwaS5vcmc", kRemove, kTokenWhy}, AtLeast<50, IsUrlSafe>},
};

// The shortest token, an access key of AWS.
constexpr size_t kTokenMin = 20;

constexpr auto kAllRules = [] {
  std::array<SecretRule, kTokenRules.size() + 1> rules = {kKeyRule};
  for (size_t i = 0; i < kTokenRules.size(); ++i) rules[i + 1] = kTokenRules[i].rule;
  return rules;
}();

bool HoldsKey(std::string_view content) {
  const std::string_view pattern = kKeyRule.pattern;
  for (size_t from = 0; from < content.size();) {
    const void* found =
        ::memmem(content.data() + from, content.size() - from, pattern.data(), pattern.size());
    if (found == nullptr) return false;
    const auto at = static_cast<size_t>(static_cast<const char*>(found) - content.data());
    from = at + pattern.size();
    if (IsPrivateKey(content.substr(0, at), content.substr(from))) return true;
  }
  return false;
}

const SecretRule* FindToken(std::string_view word) {
  for (size_t i = 0; i < kTokenRules.size(); ++i) {
    const std::string_view pattern = kTokenRules[i].rule.pattern;
    if (word[0] == pattern[0] && word.starts_with(pattern) &&
        kTokenRules[i].matches(word.substr(pattern.size()))) {
      return &kAllRules[i + 1];
    }
  }
  return nullptr;
}

constexpr auto kInWord = [] {
  std::array<bool, 256> in = {};
  for (int c = 0; c < 256; ++c) in[static_cast<size_t>(c)] = IsUrlSafe(static_cast<char>(c));
  return in;
}();

bool InWord(char c) { return kInWord[static_cast<unsigned char>(c)]; }

// Looks at words of kTokenMin characters and more. Whether one begins at `begin` is seen from its
// far end, as Boyer and Moore do it, so that most characters are never looked at.
const SecretRule* FindLongWord(std::string_view content) {
  size_t begin = 0;  // Where a word may begin: nothing of one is before it.
  while (begin + kTokenMin <= content.size()) {
    size_t at = begin + kTokenMin;
    while (at > begin && InWord(content[at - 1])) --at;
    if (at > begin) {
      begin = at;
      continue;
    }
    size_t end = begin + kTokenMin;
    while (end < content.size() && InWord(content[end])) ++end;
    const SecretRule* rule = FindToken(content.substr(begin, end - begin));
    if (rule != nullptr) return rule;
    begin = end + 1;
  }
  return nullptr;
}

}  // namespace

std::span<const SecretRule> SecretContentRules() { return kAllRules; }

const SecretRule* FindSecretContent(std::string_view content) {
  if (content.find('\0') != std::string_view::npos) return nullptr;
  if (HoldsKey(content)) return &kAllRules[0];
  return FindLongWord(content);
}

}  // namespace strata::imaged
