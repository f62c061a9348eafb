#include "imaged/save/secret_content.h"

#include <algorithm>
#include <array>

namespace strata::imaged {
namespace {

using enum SecretCategory;
using enum SecretAction;

constexpr std::string_view kTokenWhy = "holds an access token";

bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return IsAlnum(c) && !IsDigit(c); }
bool IsWord(char c) { return IsAlnum(c) || c == '_'; }
bool IsUrlSafe(char c) { return IsWord(c) || c == '-'; }
bool IsBase64(char c) { return IsAlnum(c) || c == '+' || c == '/' || c == '='; }
bool IsBase32(char c) { return (c >= 'A' && c <= 'Z') || (c >= '2' && c <= '7'); }
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// How many characters of a kind `text` begins with.
size_t Run(std::string_view text, bool (*is)(char)) {
  return static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is) - text.begin());
}

// A place in the content where a rule's pattern is.
struct Hit {
  std::string_view before;
  std::string_view rest;  // Behind the pattern.
  // A token is a word of its own.
  bool StartsWord() const { return before.empty() || !IsUrlSafe(before.back()); }
};

template <size_t kCount, bool (*kIs)(char)>
bool Exactly(const Hit& hit) {
  return hit.StartsWord() && Run(hit.rest, kIs) == kCount;
}

template <size_t kCount, bool (*kIs)(char)>
bool AtLeast(const Hit& hit) {
  return hit.StartsWord() && Run(hit.rest, kIs) >= kCount;
}

// Amazon's documentation uses keys that end in EXAMPLE.
bool IsAwsKeyId(const Hit& hit) {
  return Exactly<16, IsBase32>(hit) && !hit.rest.substr(0, 16).ends_with("EXAMPLE");
}

// xoxb-<digits>-…
bool IsSlackToken(const Hit& hit) {
  const size_t digits = Run(hit.rest, IsDigit);
  return hit.StartsWord() && digits >= 10 && hit.rest.substr(digits).starts_with('-') &&
         Run(hit.rest.substr(digits + 1), IsUrlSafe) >= 20;
}

// "T3BlbkFJ" (OpenAI in base64) is in the middle of sk-….
bool IsOpenAiKey(const Hit& hit) {
  const auto back = std::find_if_not(hit.before.rbegin(), hit.before.rend(), IsUrlSafe);
  const std::string_view front = hit.before.substr(static_cast<size_t>(hit.before.rend() - back));
  return front.starts_with("sk-") && front.size() >= 20 && Run(hit.rest, IsUrlSafe) >= 20;
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
bool IsPrivateKey(const Hit& hit) {
  if (!hit.before.empty() && !IsSpace(hit.before.back()) && hit.before.back() != '"' &&
      hit.before.back() != '\'') {
    return false;
  }
  constexpr size_t kLabelMax = 40;
  constexpr size_t kKeyCharactersMin = 64;
  const size_t end = hit.rest.substr(0, kLabelMax).find("-----");
  if (end == std::string_view::npos) return false;
  const std::string_view label = hit.rest.substr(0, end);
  if (!label.ends_with("PRIVATE KEY") && label != "PGP PRIVATE KEY BLOCK") return false;
  std::string_view body = hit.rest.substr(end + 5);
  size_t characters = 0;
  for (SkipBreaks(&body); characters < kKeyCharactersMin; SkipBreaks(&body)) {
    const size_t run = Run(body, IsBase64);
    const std::string_view behind = body.substr(run);
    if (characters == 0 && (behind.starts_with(": ") || behind.starts_with('-'))) {
      const size_t line = body.find('\n');  // A header; "Proc-Type" has a dash.
      if (line == std::string_view::npos || body.starts_with("-----")) return false;
      body.remove_prefix(line);
      continue;
    }
    if (run == 0) return false;
    characters += run;
    body = behind;
  }
  return true;
}

struct ContentRule {
  SecretRule rule;
  bool (*matches)(const Hit&);
};

constexpr std::array kRules = {
    ContentRule{{kPrivateKey, "-----BEGIN ", kRemove, "holds a private key"}, IsPrivateKey},
    // https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
    ContentRule{{kCredential, "ghp_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    ContentRule{{kCredential, "gho_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    ContentRule{{kCredential, "ghu_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    ContentRule{{kCredential, "ghs_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    ContentRule{{kCredential, "ghr_", kRemove, kTokenWhy}, AtLeast<36, IsAlnum>},
    ContentRule{{kCredential, "github_pat_", kRemove, kTokenWhy}, Exactly<82, IsWord>},
    ContentRule{{kCredential, "glpat-", kRemove, kTokenWhy}, AtLeast<20, IsUrlSafe>},
    // "IAM identifiers" of Amazon's IAM User Guide: long-term and temporary access keys.
    ContentRule{{kCredential, "AKIA", kRemove, kTokenWhy}, IsAwsKeyId},
    ContentRule{{kCredential, "ASIA", kRemove, kTokenWhy}, IsAwsKeyId},
    // https://api.slack.com/concepts/token-types
    ContentRule{{kCredential, "xoxb-", kRemove, kTokenWhy}, IsSlackToken},
    ContentRule{{kCredential, "xoxp-", kRemove, kTokenWhy}, IsSlackToken},
    ContentRule{{kCredential, "AIza", kRemove, kTokenWhy}, Exactly<35, IsUrlSafe>},
    ContentRule{{kCredential, "T3BlbkFJ", kRemove, kTokenWhy}, IsOpenAiKey},
    ContentRule{{kCredential, "sk-ant-", kRemove, kTokenWhy}, AtLeast<80, IsUrlSafe>},
    ContentRule{{kCredential, "hf_", kRemove, kTokenWhy}, Exactly<34, IsLetter>},
    ContentRule{{kCredential, "npm_", kRemove, kTokenWhy}, Exactly<36, IsAlnum>},
    // A macaroon for pypi.org, as https://pypi.org/help/#apitoken shows it.
    ContentRule{{kCredential, "pypi-AgEIcHlwaS5vcmc", kRemove, kTokenWhy}, AtLeast<50, IsUrlSafe>},
};

constexpr auto kPublicRules = [] {
  std::array<SecretRule, kRules.size()> rules = {};
  for (size_t i = 0; i < rules.size(); ++i) rules[i] = kRules[i].rule;
  return rules;
}();

constexpr size_t kWindow = [] {
  size_t shortest = SIZE_MAX;
  for (const SecretRule& rule : kPublicRules) shortest = std::min(shortest, rule.pattern.size());
  return shortest;
}();

constexpr size_t PairSlot(char first, char second) {
  return (static_cast<unsigned char>(first) * 32u ^ static_cast<unsigned char>(second)) % 4096;
}

// By how much the window may move on when it ends with this pair: 0 where a pattern's window ends.
constexpr auto kShift = [] {
  std::array<uint8_t, 4096> shift = {};
  for (uint8_t& each : shift) each = static_cast<uint8_t>(kWindow - 1);
  for (const SecretRule& rule : kPublicRules) {
    for (size_t end = 2; end <= kWindow; ++end) {
      uint8_t& slot = shift[PairSlot(rule.pattern[end - 2], rule.pattern[end - 1])];
      slot = std::min<uint8_t>(slot, static_cast<uint8_t>(kWindow - end));
    }
  }
  return shift;
}();

const SecretRule* MatchAt(std::string_view content, size_t at) {
  const std::string_view here = content.substr(at);
  for (size_t i = 0; i < kRules.size(); ++i) {
    const std::string_view pattern = kPublicRules[i].pattern;
    if (here.starts_with(pattern) &&
        kRules[i].matches({content.substr(0, at), here.substr(pattern.size())})) {
      return &kPublicRules[i];
    }
  }
  return nullptr;
}

}  // namespace

std::span<const SecretRule> SecretContentRules() { return kPublicRules; }

const SecretRule* FindSecretContent(std::string_view content) {
  if (content.find('\0') != std::string_view::npos) return nullptr;
  for (size_t end = kWindow; end <= content.size();) {
    const size_t shift = kShift[PairSlot(content[end - 2], content[end - 1])];
    if (shift > 0) {
      end += shift;
      continue;
    }
    if (const SecretRule* rule = MatchAt(content, end - kWindow)) return rule;
    ++end;
  }
  return nullptr;
}

}  // namespace strata::imaged
