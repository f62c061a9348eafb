// TokenStore: the tokens that this host has made and that nobody has used yet. Only the SHA-256 of
// each secret is kept, with its end: who reads the file cannot join with it. The secrets are 128
// random bits, so a plain hash is enough.
//
// Callers who guess are slowed down (guess_limiter.h).
//
// Thread-safe. Durable when a call returns.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/pki/certificate.h"
#include "common/result.h"
#include "imaged/peers/guess_limiter.h"

namespace strata::imaged {

constexpr std::chrono::seconds kTokenTtlDefault{3600};
constexpr std::chrono::seconds kTokenTtlMax{7 * 24 * 3600};
constexpr size_t kTokensMax = 256;

class TokenStore {
 public:
  // `path` need not exist. kCorrupt for a file that is none of ours.
  static Result<std::unique_ptr<TokenStore>> Open(const std::string& path);

  // A new secret. kInvalidArgument for a time to live that is not 1 s to a week;
  // kResourceExhausted with kTokensMax of them out.
  Result<std::string> Make(std::chrono::seconds ttl, pki::Time now);
  // Ok: Take would take it. kPermissionDenied for a wrong, used or expired one, all the same;
  // kResourceExhausted: `caller` has guessed too often.
  Status Check(std::string_view secret, const std::string& caller, pki::Time now);
  // Takes the token away for good, durably. Of two callers one gets it.
  Status Take(std::string_view secret, const std::string& caller, pki::Time now);

 private:
  struct Token {
    std::string hash;
    int64_t expires_unix_ms;
  };

  explicit TokenStore(std::string path) : path_(std::move(path)) {}
  Status Parse(std::string_view text);
  Status Save(const std::vector<Token>& tokens) const;
  // Its place in tokens_, looked for in constant time.
  Result<size_t> Find(std::string_view secret, const std::string& caller, pki::Time now);
  Status Refuse(const std::string& caller, pki::Time now);

  const std::string path_;
  std::mutex mutex_;  // Guards all below, and the file.
  std::vector<Token> tokens_;
  GuessLimiter guesses_;
};

}  // namespace strata::imaged
