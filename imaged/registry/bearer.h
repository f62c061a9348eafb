// Bearer: the short-lived tokens that the registry's token endpoint gives out (distribution's
// "token authentication"): who calls, and for what. Signed with a key (HMAC-SHA-256) that lives as
// long as the process, so that strangers who ask for many take no memory; after a restart clients
// ask anew, as their tools do by themselves. Rights are looked up at every request: a token only
// says who asks.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/pki/certificate.h"
#include "common/result.h"

namespace strata::imaged {

// Nobody has this uid, so it is granted nothing and owns nothing: it may use what is public.
inline constexpr uid_t kAnonymousUid = static_cast<uid_t>(-1);

constexpr std::chrono::minutes kBearerLife{5};

// "repository:alice/spark:pull,push"
struct Scope {
  std::string type;
  std::string name;
  std::set<std::string> actions;
};
// kInvalidArgument for what is none.
Result<Scope> ParseScope(std::string_view text);

struct Bearer {
  uid_t uid = kAnonymousUid;
  std::string token_id;  // The password that was used; empty: none.
  bool read_only = false;
  std::vector<Scope> scopes;
  int64_t expires_unix_ms = 0;

  bool Allows(std::string_view type, std::string_view name, std::string_view action) const;
};

class BearerSigner {
 public:
  static Result<BearerSigner> Create();

  // Ends kBearerLife from `now`.
  std::string Sign(Bearer bearer, pki::Time now) const;
  // kPermissionDenied for one that is not ours, and one that has ended.
  Result<Bearer> Verify(std::string_view text, pki::Time now) const;

 private:
  explicit BearerSigner(std::string key) : key_(std::move(key)) {}
  std::string MacOf(std::string_view payload) const;
  std::string key_;
};

}  // namespace strata::imaged
