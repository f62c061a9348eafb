// AccountBook: the accounts of Strata. An account's uid is its identity everywhere and is never
// given to anybody else: accounts that are made here get numbers from a range, users of the host
// keep theirs. Root of the host (uid 0) is an admin, with or without an account.
//
// Who may make changes is its caller's to know (users.h). A change that says which revision it was
// decided on fails with kFailedPrecondition when somebody else was faster.
//
// Accounts are held in memory as well, fed by RecordStore::Follow; secrets are not. Thread-safe.
// Durable when a call returns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/api/users.pb.h"
#include "vclusterd/users/password_hash.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

using AccountPtr = std::shared_ptr<const users::v1::Account>;

// Accounts that wait for approval: strangers make them.
inline constexpr size_t kWaitingAccountsMax = 1000;
inline constexpr int kOpenIdsMax = 8;  // Of one account.

struct AccountOptions {
  uint32_t uid_first = 200'000;
  uint32_t uid_last = 299'999;
  // The users of the host. A name or number that the host gave away is nobody else's here.
  std::function<std::optional<uint32_t>(const std::string& name)> host_uid;
  std::function<std::optional<std::string>(uint32_t uid)> host_name;
};

struct NewAccount {
  std::string name;
  std::string real_name;
  std::string mail;
  users::v1::Role role = users::v1::USER;
  users::v1::AccountStatus status = users::v1::ACTIVE;  // Or WAITING.
  std::optional<std::string> password;
  bool pam = false;
  std::optional<users::v1::OpenIdSubject> open_id;
  std::string note;
};

// What is absent stays.
struct AccountEdit {
  std::optional<uint64_t> revision;  // That this rests on; absent: whatever it is.
  std::optional<std::string> real_name;
  std::optional<std::string> mail;
  std::optional<std::string> note;
  std::optional<users::v1::Role> role;
  std::optional<users::v1::AccountStatus> status;  // Not DELETED.
  std::optional<bool> pam;
  std::optional<users::v1::OpenIdSubject> link;
  std::optional<users::v1::OpenIdSubject> unlink;
};

class AccountBook {
 public:
  // All must outlive this.
  AccountBook(records::RecordStore& store, PasswordHasher& hasher, AccountOptions options,
              UnixClock now)
      : store_(store), hasher_(hasher), options_(std::move(options)), now_(std::move(now)) {}

  // As the record store tells them.
  void Apply(const std::vector<records::RecordChange>& changes);

  // kAlreadyExists: the name is taken, here or on the host, or the subject is somebody's;
  // kResourceExhausted: the range is used up, or too many wait.
  Result<AccountPtr> Create(const NewAccount& wanted);
  // An account for a user of the host, who keeps his number. kNotFound: the host has none of that
  // name. Whose account was deleted gets one again, unless he must be `unknown` so far:
  // kPermissionDenied.
  Result<AccountPtr> AddHostUser(const NewAccount& wanted, bool unknown = false);
  // kNotFound; kAlreadyExists: the subject to link is somebody else's.
  Result<AccountPtr> Edit(uint32_t uid, const AccountEdit& edit);
  // With his limits. What he had is his number's still; his name is free.
  Status Delete(uint32_t uid, std::optional<uint64_t> revision = std::nullopt);

  Status SetPassword(uint32_t uid, const std::string& password);
  // False for a wrong one, after as long for a name that is nobody's. A hash of another cost than
  // today's is replaced on the way.
  Result<bool> VerifyPassword(const std::string& name, std::string_view password);

  // Null when there is none, or none any more.
  AccountPtr Find(uint32_t uid) const;
  AccountPtr FindByName(const std::string& name) const;
  AccountPtr FindByOpenId(const users::v1::OpenIdSubject& subject) const;
  // Those that exist, by uid.
  std::vector<AccountPtr> All() const;
  // What `uid` may be at most: nothing when its account is not active. A number without an account
  // is a user of the host.
  std::optional<users::v1::Role> RoleOf(uint32_t uid) const;

 private:
  Status CheckNew(const NewAccount& wanted) const;
  Result<AccountPtr> Store(const NewAccount& wanted, std::optional<uint32_t> host_uid);
  Result<uint32_t> NextUid(uint32_t last) const;
  Result<AccountPtr> EditOnce(uint32_t uid, const AccountEdit& edit);
  // `is_new`: of another password, so the account's revision moves on; otherwise of the same.
  Status StoreHash(uint32_t uid, const std::string& hash, const std::optional<std::string>& was,
                   bool is_new);

  records::RecordStore& store_;
  PasswordHasher& hasher_;
  const AccountOptions options_;
  const UnixClock now_;
  mutable std::shared_mutex mutex_;                    // Guards what follows.
  std::unordered_map<uint32_t, AccountPtr> accounts_;  // Deleted ones too.
  std::unordered_map<std::string, uint32_t> by_name_;
  std::unordered_map<std::string, uint32_t> by_open_id_;  // By key (OpenIdKey).
  size_t waiting_ = 0;
};

// The key of a subject in the index: of a fixed length, whatever an issuer says.
std::string OpenIdKey(const users::v1::OpenIdSubject& subject);

}  // namespace strata::vcluster
