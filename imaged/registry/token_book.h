// TokenBook: the passwords that users of this host made for the registry. Each is bound to the uid
// that asked for it on the Unix socket, and to the name that this uid had then: a number that is
// given to another person later lets nobody in.
//
// The file holds salted SHA-256 hashes alone. The secrets are 192 random bits, so nothing slower is
// needed. Who guesses is slowed down by address (imaged/peers/guess_limiter.h).
//
// Thread-safe. Durable when a change returns; when a token was last used is kept in memory alone.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/result.h"
#include "imaged/api/registry.pb.h"
#include "imaged/catalog/accounts.h"
#include "imaged/peers/guess_limiter.h"

namespace strata::imaged {

constexpr int kRegistryTokensMax = 20'000;
constexpr int kRegistryTokensPerUserMax = 64;

class TokenBook {
 public:
  // `path` need not exist; `accounts` must outlive this. kCorrupt for a file that is none of ours.
  static Result<std::unique_ptr<TokenBook>> Open(const std::string& path, const Accounts& accounts);

  // kInvalidArgument for a name or an end that no token may have; kResourceExhausted with too many
  // of them out (expired ones make room).
  Result<v1::CreateTokenResponse> Create(uid_t caller, const v1::CreateTokenRequest& request,
                                         pki::Time now);
  // kPermissionDenied: all users' are for root.
  Result<v1::ListTokensResponse> List(uid_t caller, bool all_users) const;
  // kNotFound: there is none, or it is somebody else's.
  Result<v1::RegistryToken> Revoke(uid_t caller, const std::string& id);

  // Whose password `secret` is. kPermissionDenied for a wrong, expired or revoked one and a wrong
  // user, all the same; kResourceExhausted: `client` has guessed too often.
  Result<v1::RegistryToken> LogIn(const std::string& user, std::string_view secret,
                                  const std::string& client, pki::Time now);
  // Whether a token that somebody logged in with is still good.
  bool IsGood(const std::string& id, pki::Time now);

 private:
  TokenBook(std::string path, const Accounts& accounts)
      : path_(std::move(path)), accounts_(accounts) {}
  Status Save(v1::RegistryTokenFile next);
  Result<v1::RegistryToken> Find(const std::string& user, std::string_view secret,
                                 pki::Time now) const;

  const std::string path_;
  const Accounts& accounts_;
  mutable std::mutex mutex_;  // Guards all below, and the file.
  v1::RegistryTokenFile file_;
  std::map<std::string, int64_t> last_used_unix_ms_;  // By id.
  GuessLimiter guesses_;
};

}  // namespace strata::imaged
