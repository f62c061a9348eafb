#include "imaged/peers/token_store.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "common/file_io.h"
#include "common/pki/private_key.h"
#include "common/pki/random.h"
#include "imaged/peers/join_token.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kHeader = "strata-tokens 1";
constexpr size_t kHashDigits = 64;

std::string HashOf(std::string_view secret) { return pki::HexOf(pki::Sha256(secret)); }

}  // namespace

Result<std::unique_ptr<TokenStore>> TokenStore::Open(const std::string& path) {
  std::unique_ptr<TokenStore> store(new TokenStore(path));
  if (!PathExists(path)) return store;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1u << 20));
  RETURN_IF_ERROR(store->Parse(text), path);
  return store;
}

Status TokenStore::Parse(std::string_view text) {
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || line != kHeader) {
    return Error(Code::kCorrupt, "is not a file of tokens");
  }
  while (std::getline(lines, line)) {
    Token token{line.substr(0, kHashDigits), 0};
    const char* const end = line.data() + line.size();
    if (tokens_.size() == kTokensMax || line.size() <= kHashDigits + 1 ||
        line[kHashDigits] != ' ' ||
        token.hash.find_first_not_of("0123456789abcdef") != std::string::npos ||
        std::from_chars(line.data() + kHashDigits + 1, end, token.expires_unix_ms).ptr != end) {
      return Error(Code::kCorrupt, "has a line that is no token");
    }
    tokens_.push_back(std::move(token));
  }
  return Ok();
}

Status TokenStore::Save(const std::vector<Token>& tokens) const {
  std::string text = std::string(kHeader) + "\n";
  for (const Token& token : tokens) {
    text += token.hash + " " + std::to_string(token.expires_unix_ms) + "\n";
  }
  return pki::SaveSecret(path_, text);
}

Result<std::string> TokenStore::Make(std::chrono::seconds ttl, pki::Time now) {
  if (ttl < std::chrono::seconds(1) || ttl > kTokenTtlMax) {
    return Error(Code::kInvalidArgument, "a token is good for 1 second to 7 days");
  }
  ASSIGN_OR_RETURN(std::string secret, pki::RandomBytes(kTokenSecretBytes));
  const std::lock_guard lock(mutex_);
  std::vector<Token> tokens = tokens_;
  std::erase_if(tokens, [&](const Token& token) { return token.expires_unix_ms <= UnixMs(now); });
  if (tokens.size() >= kTokensMax) {
    return Error(Code::kResourceExhausted,
                 std::to_string(kTokensMax) + " tokens are out: wait until some have expired");
  }
  tokens.push_back({HashOf(secret), UnixMs(now + ttl)});
  RETURN_IF_ERROR(Save(tokens));
  tokens_ = std::move(tokens);
  return secret;
}

Status TokenStore::Refuse(const std::string& caller, pki::Time now) {
  guesses_.Count(caller, now);
  return Error(Code::kPermissionDenied,
               "the token is refused: make a new one with 'vimage host token' on a host that has "
               "the cluster's authority (a token is good once, and for a limited time)");
}

Result<size_t> TokenStore::Find(std::string_view secret, const std::string& caller, pki::Time now) {
  RETURN_IF_ERROR(guesses_.Check(caller, now));
  const std::string hash = HashOf(secret);
  size_t found = tokens_.size();
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (pki::EqualInConstantTime(tokens_[i].hash, hash)) found = i;
  }
  if (found == tokens_.size() || tokens_[found].expires_unix_ms <= UnixMs(now)) {
    return Refuse(caller, now).error();
  }
  return found;
}

Status TokenStore::Check(std::string_view secret, const std::string& caller, pki::Time now) {
  const std::lock_guard lock(mutex_);
  const auto found = Find(secret, caller, now);
  return found.ok() ? Ok() : Status(found.error());
}

Status TokenStore::Take(std::string_view secret, const std::string& caller, pki::Time now) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const size_t found, Find(secret, caller, now));
  std::vector<Token> tokens = tokens_;
  tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(found));
  RETURN_IF_ERROR(Save(tokens));
  tokens_ = std::move(tokens);
  return Ok();
}

}  // namespace strata::imaged
