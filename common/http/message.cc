#include "common/http/message.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cctype>

namespace strata::http {
namespace {

constexpr size_t kQueryFieldsMax = 64;
constexpr size_t kChallengeParametersMax = 16;

char Lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

bool EqualNames(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = Lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool IsTokenCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Reads a challenge from left to right.
class ChallengeReader {
 public:
  explicit ChallengeReader(std::string_view text) : text_(text) {}

  std::string_view Token() {
    SkipBlanks();
    const size_t start = at_;
    while (at_ < text_.size() && IsTokenCharacter(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }
  bool Take(char c) {
    SkipBlanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::optional<std::string> Value() {
    if (!Take('"')) {
      const std::string_view token = Token();
      return token.empty() ? std::nullopt : std::optional<std::string>(token);
    }
    std::string value;
    for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      value += text_[at_];
    }
    return Take('"') ? std::optional<std::string>(std::move(value)) : std::nullopt;
  }
  bool AtEnd() {
    SkipBlanks();
    return at_ == text_.size();
  }

 private:
  void SkipBlanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string_view Find(const Fields& fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const Field& field) { return EqualNames(field.name, name); });
  return found == fields.end() ? std::string_view() : std::string_view(found->value);
}

Result<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\0') return Error(Code::kInvalidArgument, "a zero byte in the address");
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
    const int low = high < 0 ? -1 : HexValue(text[i + 2]);
    if (low < 0 || high * 16 + low == 0) {
      return Error(Code::kInvalidArgument, "a wrong escape in the address");
    }
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

std::string PercentEncode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= 'a' && byte <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

Result<Fields> ParseQuery(std::string_view query) {
  Fields fields;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    std::string part(query.substr(0, end));
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    if (fields.size() == kQueryFieldsMax) {
      return Error(Code::kInvalidArgument, "too many parameters in the address");
    }
    std::replace(part.begin(), part.end(), '+', ' ');
    const size_t equals = std::min(part.find('='), part.size());
    Field field;
    ASSIGN_OR_RETURN(field.name, PercentDecode(std::string_view(part).substr(0, equals)));
    if (equals < part.size()) {
      ASSIGN_OR_RETURN(field.value, PercentDecode(std::string_view(part).substr(equals + 1)));
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

std::string Base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a zero byte.
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::optional<std::string> ParseBase64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > (1u << 20)) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  bytes.resize(static_cast<size_t>(size));
  for (size_t i = 0; i < 2 && text.size() > i && text[text.size() - 1 - i] == '='; ++i) {
    bytes.pop_back();
  }
  // OpenSSL takes blanks and padding in odd places: only the one way to write it is right.
  return Base64(bytes) == text ? std::optional<std::string>(std::move(bytes)) : std::nullopt;
}

std::optional<Challenge> ParseChallenge(std::string_view text) {
  ChallengeReader reader(text);
  Challenge challenge;
  challenge.scheme = reader.Token();
  std::transform(challenge.scheme.begin(), challenge.scheme.end(), challenge.scheme.begin(), Lower);
  if (challenge.scheme.empty()) return std::nullopt;
  while (!reader.AtEnd()) {
    if (challenge.parameters.size() == kChallengeParametersMax) return std::nullopt;
    Field field;
    field.name = reader.Token();
    if (field.name.empty() || !reader.Take('=')) {
      // Another scheme begins: what came before it is whole.
      return challenge.parameters.empty() ? std::nullopt : std::optional<Challenge>(challenge);
    }
    std::optional<std::string> value = reader.Value();
    if (!value) return std::nullopt;
    field.value = std::move(*value);
    challenge.parameters.push_back(std::move(field));
    if (!reader.Take(',')) break;
  }
  return challenge;
}

}  // namespace strata::http
