// Users: who may do what in a Strata. It wires the books of accounts, tokens, groups, limits and
// credits, holds every change against the table of rights (rights.h), and records what was changed
// and what was refused (audit_log.h). The REST server and the master call it; what they do
// themselves they ask with Authorize, and tell with Record.
//
// The books live in a record store that others may use too. Whoever owns the store has it tell its
// changes to Apply (RecordStore::Follow has one listener).
//
// A crash between a change and its event loses the event.
//
// Thread-safe. A change is durable when its call returns. Errors: kPermissionDenied, and those of
// the book that is changed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/events/event_log.h"
#include "common/log.h"
#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/users/account_book.h"
#include "vclusterd/users/audit_log.h"
#include "vclusterd/users/credit_book.h"
#include "vclusterd/users/group_book.h"
#include "vclusterd/users/quota_book.h"
#include "vclusterd/users/rights.h"
#include "vclusterd/users/sign_in.h"
#include "vclusterd/users/sign_in_guard.h"
#include "vclusterd/users/token_book.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

// Who calls, and how that is known.
struct Caller {
  uint32_t uid = 0;
  std::string via;     // "socket", where the kernel names him; "rest", …
  std::string source;  // The address that he comes from; empty: this host.
  TokenPtr token;      // That he showed; null: none.
};

// What something is done to.
struct Target {
  std::optional<uint32_t> owner;  // Absent: it is nobody's, as a host.
  std::string name;               // As people call it: "alice/hpc".
  std::string vcluster;           // As TokenScope::vcluster; empty: it is no Vcluster.
};

struct UserOptions {
  AccountOptions accounts;
  HashCost hash_cost;
  int hashes_at_once = 2;
  SignInOptions sign_in;
  int64_t session_life_ms = 12 * kHourMs;
  CreditOptions credits;
  EventLogLimits audit = AuditLog::DefaultLimits();
  UnixClock now = HostUnixMs;
};

class Users {
 public:
  // `store` has UserTables() among its tables, and must outlive the result. Nothing is known before
  // Apply has heard it.
  static Result<std::unique_ptr<Users>> Open(records::RecordStore& store,
                                             const std::string& audit_directory,
                                             UserOptions options);
  void Apply(const std::vector<records::RecordChange>& changes);
  // To be called every few minutes.
  Status KeepHouse();

  // What a uid is called: here, on the host, or by its digits; and back, kNotFound.
  std::string NameOf(uint32_t uid) const;
  Result<uint32_t> UidOf(const std::string& name) const;

  // For looking; what a caller may see is told by Allows.
  const AccountBook& accounts() const { return accounts_; }
  const TokenBook& tokens() const { return tokens_; }
  const GroupBook& groups() const { return groups_; }
  const QuotaBook& quotas() const { return quotas_; }
  // Charge and Verdict are the master's to call.
  CreditBook& credits() { return credits_; }

  // --- Signing in -------------------------------------------------------------------------------
  // A session's token. As SignIn::WithPassword and WithClaims.
  Result<MadeToken> SignInWithPassword(const std::string& name, const std::string& password,
                                       const std::string& source);
  Result<MadeToken> SignInWithClaims(const IdClaims& claims, const std::string& source);
  // An account that waits for approval, asked for by a stranger. kResourceExhausted: too many wait,
  // or too many were asked for from his address.
  Result<AccountPtr> Register(NewAccount wanted, const std::string& source);
  // Who shows this token. kPermissionDenied: it is not good, or its account is not active.
  Result<Caller> CallerOf(std::string_view token, const std::string& via,
                          const std::string& source) const;

  // --- Rights -----------------------------------------------------------------------------------
  Relation RelationOf(uint32_t caller, std::optional<uint32_t> owner) const;
  // By the table, and by the scope of the token that he showed.
  bool Allows(const Caller& caller, Operation operation, const Target& target) const;
  // kPermissionDenied when it is not allowed; that is recorded.
  Status Authorize(const Caller& caller, Operation operation, const Target& target);
  // How something ended that was allowed.
  void Record(const Caller& caller, Operation operation, const Target& target,
              const std::string& detail, const Status& status);
  // Does it when it is allowed, and records how that ended. `run` answers a Status or a Result.
  template <typename Do>
  auto Perform(const Caller& caller, Operation operation, const Target& target,
               const std::string& detail, const Do& run) -> decltype(run()) {
    const RequestScope request;
    RETURN_IF_ERROR(Authorize(caller, operation, target));
    auto done = run();
    Record(caller, operation, target, detail, done.ok() ? Ok() : Status(done.error()));
    return done;
  }
  // What the caller may see of what `query` asks for.
  Result<std::vector<users::v1::AuditEvent>> Events(const Caller& caller, AuditQuery query);

  // --- Accounts ---------------------------------------------------------------------------------
  // `of_host`: for a user of the host, who keeps his number.
  Result<AccountPtr> CreateAccount(const Caller& caller, const NewAccount& wanted, bool of_host);
  // Each kind of field needs its own right: an edit of several needs all of them.
  Result<AccountPtr> EditAccount(const Caller& caller, uint32_t uid, const AccountEdit& edit);
  // His own subject at an issuer, which he has proved.
  Result<AccountPtr> LinkOpenId(const Caller& caller, const IdClaims& claims);
  // Tokens, memberships and credits go too.
  Status DeleteAccount(const Caller& caller, uint32_t uid, std::optional<uint64_t> revision);
  // One's own needs the old one. All sessions of the account end.
  Status SetPassword(const Caller& caller, uint32_t uid, const std::string& old_password,
                     const std::string& new_password);
  // The account is listened to again at once, however many have guessed.
  Status UnlockSignIn(const Caller& caller, uint32_t uid);

  // --- Tokens -----------------------------------------------------------------------------------
  // For the caller himself, whatever `wanted.uid` says. Who shows a token gets none that can do
  // more or, but for a session's, lives longer.
  Result<MadeToken> CreateToken(const Caller& caller, NewToken wanted);
  Status RevokeToken(const Caller& caller, const std::string& id);
  // The master's, for a node of this user's Vcluster; `name` says which.
  Result<MadeToken> MakeNodeToken(uint32_t uid, const std::string& vcluster,
                                  const OperationSet& operations, int64_t life_ms,
                                  const std::string& name = "");
  // Of nodes of this user's Vcluster, oldest first.
  std::vector<TokenPtr> NodeTokensOf(uint32_t uid, const std::string& vcluster) const;
  Status RevokeNodeTokens(const std::vector<TokenPtr>& tokens) { return tokens_.RevokeAll(tokens); }
  Status RevokeTokensOfVcluster(const std::string& vcluster) {
    return tokens_.RevokeOfVcluster(vcluster);
  }

  // --- Groups, limits, credits ------------------------------------------------------------------
  Result<GroupPtr> CreateGroup(const Caller& caller, const std::string& name,
                               const std::string& description);
  Result<GroupPtr> EditGroup(const Caller& caller, uint32_t number, const GroupEdit& edit);
  Status JoinGroup(const Caller& caller, uint32_t number);
  Status LeaveGroup(const Caller& caller, uint32_t number);
  Status DeleteGroup(const Caller& caller, uint32_t number, std::optional<uint64_t> revision);
  Status SetLimits(const Caller& caller, const LimitHolder& holder, const LimitSet& limits,
                   std::optional<uint64_t> revision);
  Status CheckQuota(uint32_t uid, const QuotaAmounts& asked, const QuotaUsage& usage) const;
  // Whether nodes of his may start. kResourceExhausted: his credits are used up.
  Status CheckCredits(uint32_t uid) const;
  // A line about what is left, for who is below a threshold; empty: there is nothing to say.
  std::string CreditNotice(uint32_t uid) const;
  Result<MilliCredits> GrantCredits(const Caller& caller, uint32_t uid, MilliCredits amount,
                                    const std::string& reason);
  Status SetCreditBudget(const Caller& caller, uint32_t teacher, MilliCredits budget);
  Result<users::v1::CreditApplication> ApplyForCredits(const Caller& caller, MilliCredits amount,
                                                       const std::string& reason);
  // What who is no admin approves is taken from his budget.
  Result<users::v1::CreditApplication> DecideApplication(const Caller& caller, uint32_t uid,
                                                         uint32_t number, bool approve,
                                                         const std::string& comment);

 private:
  Users(records::RecordStore& store, UserOptions options, std::unique_ptr<PasswordHasher> hasher,
        std::unique_ptr<AuditLog> audit);
  // What stands against it.
  Status Check(const Caller& caller, Operation operation, const Target& target) const;
  // `known`: whose account was tried; null: nobody's.
  void RecordSignIn(const std::string& how, const AccountPtr& known, const std::string& source,
                    const Result<AccountPtr>& account);
  Result<MadeToken> StartSession(const AccountPtr& account);
  Target AccountTarget(uint32_t uid) const;
  Target GroupTarget(const Caller& caller, uint32_t number) const;
  Status CheckAll(const Caller& caller, const std::vector<Operation>& operations,
                  const Target& target) const;

  const UserOptions options_;
  const std::unique_ptr<PasswordHasher> hasher_;
  const std::unique_ptr<AuditLog> audit_;
  AccountBook accounts_;
  TokenBook tokens_;
  GroupBook groups_;
  QuotaBook quotas_;
  CreditBook credits_;
  SignInGuard guard_;
  SignInGuard registrations_;  // Of sources alone; each counts.
  SignIn sign_in_;
};

}  // namespace strata::vcluster
