// TokenBook: what users and nodes show instead of a password. A token is 256 random bits; only
// their hash is kept, so who reads the records cannot use one, and its text is seen once, when it
// is made.
//
//   strata_session_…, strata_api_…, strata_node_…   and 43 characters of base64url
//
// A token can do at most what its user can, and of that only what its scope says. Check reads
// nothing but memory, fed by RecordStore::Follow. When a token was used last is noted in memory,
// and written by WriteUses, once in an hour at most: a request is no write.
//
// Thread-safe. Durable when a call returns.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/digest.h"
#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/api/users.pb.h"
#include "vclusterd/users/rights.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

// Of one user. A further session ends the oldest one; others are refused.
inline constexpr size_t kSessionsMax = 50;
inline constexpr size_t kApiTokensMax = 100;
inline constexpr size_t kNodeTokensMax = 10'000;
inline constexpr int64_t kSessionLifeMsMax = 7 * kDayMs;
inline constexpr int64_t kTokenLifeMsMax = 366 * kDayMs;
inline constexpr int64_t kUseWrittenEveryMs = kHourMs;

struct TokenScope {
  OperationSet operations = OperationSet::All();
  std::string vcluster;  // Not empty: only what is done to this one.
};

struct NewToken {
  uint32_t uid = 0;
  users::v1::TokenKind kind = users::v1::SESSION;
  std::string name;
  int64_t life_ms = 12 * kHourMs;
  TokenScope scope;
};

struct Token {
  // What a check needs comes first: it is in the cache line that holds the count of references.
  // As far as it was noted; at least record.used_unix_ms.
  mutable std::atomic<int64_t> used_unix_ms = 0;
  int64_t expires_unix_ms = 0;
  TokenScope scope;
  std::string id;  // The first 16 digits of its key: enough to name it, no help to guess it.
  std::string key;
  users::v1::Token record;
};
using TokenPtr = std::shared_ptr<const Token>;

struct MadeToken {
  std::string text;  // The only time that it can be seen.
  TokenPtr token;
};

class TokenBook {
 public:
  // `store` must outlive this.
  TokenBook(records::RecordStore& store, UnixClock now) : store_(store), now_(std::move(now)) {
    tokens_.max_load_factor(0.5);  // Each step along a chain waits for memory.
  }

  void Apply(const std::vector<records::RecordChange>& changes);

  // kInvalidArgument: a life that is none or too long, an empty or too wide scope;
  // kResourceExhausted: the user has too many.
  Result<MadeToken> Make(const NewToken& wanted);
  // kPermissionDenied for a text that is no token, or one that has ended, all the same.
  Result<TokenPtr> Check(std::string_view text) const;

  // Null when there is none. Of two with the same id, which do not happen, none.
  TokenPtr Find(const std::string& id) const;
  std::vector<TokenPtr> Of(uint32_t uid) const;  // Oldest first.

  Status Revoke(const Token& token);
  Status RevokeAll(const std::vector<TokenPtr>& tokens);
  // Of a user: all, or those of a kind.
  Status RevokeOf(uint32_t uid, std::optional<users::v1::TokenKind> kind);
  // Those that are only for this Vcluster.
  Status RevokeOfVcluster(const std::string& vcluster);

  // Housekeeping: writes when tokens were used, and removes those that have ended.
  Status WriteUses();
  Status RemoveEnded();

 private:
  template <typename Wanted>
  std::vector<TokenPtr> Select(const Wanted& wanted) const;
  Status MakeRoom(const NewToken& wanted);

  records::RecordStore& store_;
  const UnixClock now_;
  mutable std::shared_mutex mutex_;  // Guards what follows.
  std::unordered_map<Digest, TokenPtr, DigestHash> tokens_;
  std::unordered_map<uint32_t, std::vector<TokenPtr>> by_uid_;
};

}  // namespace strata::vcluster
