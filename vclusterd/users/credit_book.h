// CreditBook: what users have to spend, what they were charged, and what they apply for. Who has no
// record yet has the initial balance.
//
// An hour is charged once: its charge, the new balance and the number of the hour are one commit,
// so that a crash in between, or two masters at once, cannot charge it twice. Hours are charged in
// their order; an hour before the last charged one counts as charged.
//
// Who may grant and decide is the caller's to know (users.h). Balances and applications are held in
// memory as well, fed by RecordStore::Follow; histories are read. Thread-safe. Durable when a call
// returns.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/api/users.pb.h"
#include "vclusterd/users/credit.h"
#include "vclusterd/users/record_change.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

inline constexpr size_t kPendingApplicationsMax = 3;  // Of one user.
inline constexpr size_t kApplicationsKept = 50;
inline constexpr size_t kCreditMonthsKept = 24;

struct CreditOptions {
  Prices prices;  // Nothing: hours are not charged, and balances stop nobody.
  MilliCredits initial = 0;
  std::vector<MilliCredits> thresholds;  // Below each of them one is warned once.
};

struct ChargeResult {
  bool is_new = false;  // Otherwise the hour was charged before.
  MilliCredits charged = 0;
  MilliCredits balance = 0;
  CreditVerdict verdict = CreditVerdict::kGo;
  std::optional<MilliCredits> warning;  // A threshold that it has just fallen below.
};

class CreditBook {
 public:
  // `store` must outlive this.
  CreditBook(records::RecordStore& store, CreditOptions options, UnixClock now);

  void Apply(const std::vector<records::RecordChange>& changes);

  MilliCredits Balance(uint32_t uid) const;
  MilliCredits Budget(uint32_t uid) const;
  CreditVerdict Verdict(uint32_t uid) const;
  const Prices& prices() const { return options_.prices; }
  // kGo for everybody where hours are not charged, and for root of the host always.
  CreditVerdict VerdictInForce(uint32_t uid) const;
  // Of the last months, oldest first.
  Result<std::vector<users::v1::CreditEntry>> History(uint32_t uid) const;

  // REQUIRES: CheckPrices is Ok. The hour has ended.
  Result<ChargeResult> Charge(uint32_t uid, int64_t hour, const HourUse& use, const Prices& prices);
  // Negative takes away.
  Result<MilliCredits> Grant(uint32_t uid, MilliCredits amount, uint32_t by,
                             const std::string& reason);
  Status SetBudget(uint32_t uid, MilliCredits budget);

  // kResourceExhausted: too many wait for a decision.
  Result<users::v1::CreditApplication> ApplyFor(uint32_t uid, MilliCredits amount,
                                                const std::string& reason);
  struct Decision {
    bool approve = false;
    uint32_t by = 0;
    bool from_budget = false;  // What is approved is taken from the budget of `by`.
    std::string comment;
  };
  // kAlreadyExists: it is decided; kResourceExhausted: the budget is too small.
  Result<users::v1::CreditApplication> Decide(uint32_t uid, uint32_t number,
                                              const Decision& decision);
  // Of one user, or of all; oldest first.
  std::vector<users::v1::CreditApplication> Applications(std::optional<uint32_t> uid,
                                                         bool only_pending) const;
  // When the account is deleted.
  Status Forget(uint32_t uid);

 private:
  using LoadedAccount = Loaded<users::v1::CreditAccount>;
  Result<LoadedAccount> LoadAccount(uint32_t uid) const;
  // Adds an amount to the account and to its history.
  Status Book(users::v1::CreditEntry entry, LoadedAccount* account, Transaction* transaction) const;
  Status TakeFromBudget(uint32_t by, uint32_t uid, MilliCredits amount,
                        Transaction* transaction) const;
  Status DropOldMonths(uint32_t uid, const std::string& month, Transaction* transaction) const;
  std::optional<users::v1::CreditAccount> Find(uint32_t uid) const;

  records::RecordStore& store_;
  CreditOptions options_;  // Constant; its thresholds descend.
  const UnixClock now_;
  mutable std::shared_mutex mutex_;  // Guards what follows.
  std::map<uint32_t, users::v1::CreditAccount> accounts_;
  std::map<std::string, users::v1::CreditApplication> applications_;  // By key.
};

}  // namespace strata::vcluster
