#include "vclusterd/users/credit_book.h"

#include <algorithm>
#include <functional>
#include <mutex>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/users/account_rules.h"
#include "vclusterd/users/tables.h"

namespace strata::vcluster {
namespace {

using users::v1::CreditAccount;
using users::v1::CreditApplication;
using users::v1::CreditEntry;
using users::v1::CreditMonth;

constexpr uint32_t kRecordVersion = 1;
constexpr int kEntriesPerMonthMax = 1000;  // Charges are one a day.

std::string PrefixOf(uint32_t uid) { return NumberKey(uid) + "/"; }

std::string ApplicationKey(uint32_t uid, uint32_t number) {
  return PrefixOf(uid) + NumberKey(number);
}

Status CheckAmount(MilliCredits amount) {
  if (amount > -kMilliCreditsMax && amount < kMilliCreditsMax) return Ok();
  return Error(Code::kInvalidArgument,
               "an amount is below " + InCredits(kMilliCreditsMax) + " credits");
}

// Whether they are shown as one: an hour's charge and those of its day before it.
bool BelongTogether(const CreditEntry& last, const CreditEntry& next) {
  return last.kind() == users::v1::CHARGE && next.kind() == users::v1::CHARGE &&
         last.time_unix_ms() / kDayMs == next.time_unix_ms() / kDayMs;
}

}  // namespace

CreditBook::CreditBook(records::RecordStore& store, CreditOptions options, UnixClock now)
    : store_(store), options_(std::move(options)), now_(std::move(now)) {
  std::sort(options_.thresholds.begin(), options_.thresholds.end(), std::greater<>());
}

void CreditBook::Apply(const std::vector<records::RecordChange>& changes) {
  const std::lock_guard lock(mutex_);
  for (const records::RecordChange& change : changes) {
    if (change.table == kUserCreditsTable) {
      const auto uid = NumberOfKey(change.key);
      if (!uid) continue;
      CreditAccount& account = accounts_[*uid];
      account.Clear();
      if (!change.value) {
        accounts_.erase(*uid);
      } else if (!account.ParseFromString(*change.value)) {
        LOG_ERROR("the credits of " + change.key + " are damaged: they count as none");
        account.Clear();
      }
    } else if (change.table == kCreditApplicationsTable) {
      CreditApplication application;
      if (change.value && application.ParseFromString(*change.value)) {
        applications_[change.key] = std::move(application);
      } else {
        applications_.erase(change.key);
      }
    }
  }
}

std::optional<CreditAccount> CreditBook::Find(uint32_t uid) const {
  const std::shared_lock lock(mutex_);
  const auto it = accounts_.find(uid);
  return it == accounts_.end() ? std::nullopt : std::optional(it->second);
}

MilliCredits CreditBook::Balance(uint32_t uid) const {
  const auto account = Find(uid);
  return account ? account->balance_milli() : options_.initial;
}

MilliCredits CreditBook::Budget(uint32_t uid) const {
  const auto account = Find(uid);
  return account ? account->budget_milli() : 0;
}

CreditVerdict CreditBook::Verdict(uint32_t uid) const {
  return VerdictOf(Balance(uid), options_.thresholds);
}

CreditVerdict CreditBook::VerdictInForce(uint32_t uid) const {
  return uid == 0 || options_.prices.IsNothing() ? CreditVerdict::kGo : Verdict(uid);
}

Result<std::vector<CreditEntry>> CreditBook::History(uint32_t uid) const {
  std::vector<CreditEntry> entries;
  const Status scanned = store_.Scan(
      kCreditMonthsTable, PrefixOf(uid), [&](const std::string& key, const std::string& value) {
        CreditMonth month;
        if (!month.ParseFromString(value)) {
          return Status(Error(Code::kCorrupt, "the credits of " + Printable(key) + " are damaged"));
        }
        entries.insert(entries.end(), month.entries().begin(), month.entries().end());
        return Ok();
      });
  if (!scanned.ok()) return scanned.error();
  return entries;
}

Result<CreditBook::LoadedAccount> CreditBook::LoadAccount(uint32_t uid) const {
  ASSIGN_OR_RETURN(auto loaded, Load<CreditAccount>(store_, kUserCreditsTable, NumberKey(uid)));
  if (!loaded.raw) {
    loaded.value.set_version(kRecordVersion);
    loaded.value.set_uid(uid);
    loaded.value.set_balance_milli(options_.initial);
    loaded.value.set_warning_level(WarningLevel(options_.initial, options_.thresholds));
  }
  return loaded;
}

Status CreditBook::DropOldMonths(uint32_t uid, const std::string& month,
                                 Transaction* transaction) const {
  std::vector<std::string> keys;
  RETURN_IF_ERROR(store_.Scan(kCreditMonthsTable, PrefixOf(uid),
                              [&](const std::string& key, const std::string&) {
                                if (key != PrefixOf(uid) + month) keys.push_back(key);
                                return Ok();
                              }));
  for (size_t i = 0; i + kCreditMonthsKept <= keys.size(); ++i) {
    transaction->RemoveAny(kCreditMonthsTable, keys[i]);
  }
  return Ok();
}

Status CreditBook::Book(CreditEntry entry, LoadedAccount* account, Transaction* transaction) const {
  CreditAccount& changed = account->value;
  const std::string month = MonthOf(entry.time_unix_ms());
  const std::string key = PrefixOf(changed.uid()) + month;
  ASSIGN_OR_RETURN(auto loaded, Load<CreditMonth>(store_, kCreditMonthsTable, key));
  auto& entries = *loaded.value.mutable_entries();
  if (!loaded.raw) {
    loaded.value.set_version(kRecordVersion);
    RETURN_IF_ERROR(DropOldMonths(changed.uid(), month, transaction));
  }
  if (!account->raw && options_.initial != 0) {
    CreditEntry& initial = *entries.Add();
    initial.set_kind(users::v1::INITIAL);
    initial.set_time_unix_ms(entry.time_unix_ms());
    initial.set_amount_milli(options_.initial);
    initial.set_balance_milli(options_.initial);
  }
  changed.set_balance_milli(AddCredits(changed.balance_milli(), entry.amount_milli()));
  changed.set_warning_level(WarningLevel(changed.balance_milli(), options_.thresholds));
  entry.set_balance_milli(changed.balance_milli());
  if (!entries.empty() && BelongTogether(entries[entries.size() - 1], entry)) {
    CreditEntry& last = entries[entries.size() - 1];
    entry.set_amount_milli(AddCredits(last.amount_milli(), entry.amount_milli()));
    last = std::move(entry);
  } else if (entry.kind() != users::v1::CHARGE && entries.size() >= kEntriesPerMonthMax) {
    return Error(Code::kResourceExhausted, "there were " + std::to_string(kEntriesPerMonthMax) +
                                               " changes of these credits this month");
  } else {
    *entries.Add() = std::move(entry);
  }
  changed.set_revision(changed.revision() + 1);
  transaction->Put(kCreditMonthsTable, key, loaded.raw, loaded.value);
  transaction->Put(kUserCreditsTable, NumberKey(changed.uid()), account->raw, changed);
  return Ok();
}

Result<ChargeResult> CreditBook::Charge(uint32_t uid, int64_t hour, const HourUse& use,
                                        const Prices& prices) {
  const MilliCredits cost = CostOf(use, prices);
  return records::RetryWhileChanged([&]() -> Result<ChargeResult> {
    ASSIGN_OR_RETURN(auto account, LoadAccount(uid));
    ChargeResult result;
    result.balance = account.value.balance_milli();
    result.verdict = VerdictOf(result.balance, options_.thresholds);
    if (hour <= account.value.charged_hour()) return result;
    const uint32_t level_before = account.value.warning_level();
    account.value.set_charged_hour(hour);
    CreditEntry entry;
    entry.set_kind(users::v1::CHARGE);
    entry.set_time_unix_ms(hour * kHourMs);
    entry.set_amount_milli(-cost);
    Transaction transaction;
    RETURN_IF_ERROR(Book(std::move(entry), &account, &transaction));
    RETURN_IF_ERROR(transaction.Commit(store_));
    result.is_new = true;
    result.charged = cost;
    result.balance = account.value.balance_milli();
    result.verdict = VerdictOf(result.balance, options_.thresholds);
    const uint32_t level = account.value.warning_level();
    if (level > level_before) result.warning = options_.thresholds[level - 1];
    return result;
  });
}

Result<MilliCredits> CreditBook::Grant(uint32_t uid, MilliCredits amount, uint32_t by,
                                       const std::string& reason) {
  RETURN_IF_ERROR(CheckAmount(amount));
  RETURN_IF_ERROR(CheckNote(reason));
  return records::RetryWhileChanged([&]() -> Result<MilliCredits> {
    ASSIGN_OR_RETURN(auto account, LoadAccount(uid));
    CreditEntry entry;
    entry.set_kind(users::v1::GRANT);
    entry.set_time_unix_ms(now_());
    entry.set_amount_milli(amount);
    entry.set_by_uid(by);
    entry.set_reason(reason);
    Transaction transaction;
    RETURN_IF_ERROR(Book(std::move(entry), &account, &transaction));
    RETURN_IF_ERROR(transaction.Commit(store_));
    return account.value.balance_milli();
  });
}

Status CreditBook::SetBudget(uint32_t uid, MilliCredits budget) {
  RETURN_IF_ERROR(CheckAmount(budget));
  if (budget < 0) return Error(Code::kInvalidArgument, "a budget is not negative");
  return records::RetryWhileChanged([&]() -> Status {
    ASSIGN_OR_RETURN(auto account, LoadAccount(uid));
    account.value.set_budget_milli(budget);
    account.value.set_revision(account.value.revision() + 1);
    Transaction transaction;
    transaction.Put(kUserCreditsTable, NumberKey(uid), account.raw, account.value);
    return transaction.Commit(store_);
  });
}

std::vector<CreditApplication> CreditBook::Applications(std::optional<uint32_t> uid,
                                                        bool only_pending) const {
  std::vector<CreditApplication> found;
  const std::string prefix = uid ? PrefixOf(*uid) : "";
  const std::shared_lock lock(mutex_);
  for (auto it = applications_.lower_bound(prefix);
       it != applications_.end() && it->first.starts_with(prefix); ++it) {
    if (!only_pending || it->second.status() == users::v1::PENDING) found.push_back(it->second);
  }
  return found;
}

Result<CreditApplication> CreditBook::ApplyFor(uint32_t uid, MilliCredits amount,
                                               const std::string& reason) {
  RETURN_IF_ERROR(CheckAmount(amount));
  RETURN_IF_ERROR(CheckNote(reason));
  if (amount <= 0 || reason.empty()) {
    return Error(Code::kInvalidArgument, "an application has an amount and a reason");
  }
  return records::RetryWhileChanged([&]() -> Result<CreditApplication> {
    // The account's record changes with every application, so the look at the others holds.
    ASSIGN_OR_RETURN(auto account, LoadAccount(uid));
    const auto all = Applications(uid, false);
    if (Applications(uid, true).size() >= kPendingApplicationsMax) {
      return Error(Code::kResourceExhausted,
                   std::to_string(kPendingApplicationsMax) + " applications wait for a decision");
    }
    CreditApplication application;
    application.set_version(kRecordVersion);
    application.set_uid(uid);
    application.set_number(account.value.applications() + 1);
    application.set_amount_milli(amount);
    application.set_reason(reason);
    application.set_created_unix_ms(now_());
    account.value.set_applications(application.number());
    account.value.set_revision(account.value.revision() + 1);
    Transaction transaction;
    transaction.Put(kUserCreditsTable, NumberKey(uid), account.raw, account.value);
    transaction.Put(kCreditApplicationsTable, ApplicationKey(uid, application.number()),
                    std::nullopt, application);
    size_t kept = all.size();
    for (const CreditApplication& old : all) {
      if (kept < kApplicationsKept) break;
      if (old.status() == users::v1::PENDING) continue;
      transaction.RemoveAny(kCreditApplicationsTable, ApplicationKey(uid, old.number()));
      --kept;
    }
    RETURN_IF_ERROR(transaction.Commit(store_));
    return application;
  });
}

Status CreditBook::TakeFromBudget(uint32_t by, uint32_t uid, MilliCredits amount,
                                  Transaction* transaction) const {
  if (by == uid) return Error(Code::kPermissionDenied, "nobody gives to himself");
  ASSIGN_OR_RETURN(auto account, LoadAccount(by));
  const MilliCredits budget = account.value.budget_milli();
  if (amount > budget) {
    return Error(Code::kResourceExhausted, "your budget is " + InCredits(budget) + " credits");
  }
  account.value.set_budget_milli(budget - amount);
  account.value.set_revision(account.value.revision() + 1);
  transaction->Put(kUserCreditsTable, NumberKey(by), account.raw, account.value);
  return Ok();
}

Result<CreditApplication> CreditBook::Decide(uint32_t uid, uint32_t number,
                                             const Decision& decision) {
  RETURN_IF_ERROR(CheckNote(decision.comment));
  const std::string key = ApplicationKey(uid, number);
  return records::RetryWhileChanged([&]() -> Result<CreditApplication> {
    ASSIGN_OR_RETURN(auto loaded, Load<CreditApplication>(store_, kCreditApplicationsTable, key));
    CreditApplication& application = loaded.value;
    if (!loaded.raw) return Error(Code::kNotFound, "there is no such application");
    if (application.status() != users::v1::PENDING) {
      return Error(Code::kAlreadyExists, "this application is decided already");
    }
    application.set_status(decision.approve ? users::v1::APPROVED : users::v1::DENIED);
    application.set_decided_by_uid(decision.by);
    application.set_decided_unix_ms(now_());
    application.set_comment(decision.comment);
    Transaction transaction;
    transaction.Put(kCreditApplicationsTable, key, loaded.raw, application);
    if (decision.approve && decision.from_budget) {
      RETURN_IF_ERROR(TakeFromBudget(decision.by, uid, application.amount_milli(), &transaction));
    }
    if (decision.approve) {
      ASSIGN_OR_RETURN(auto account, LoadAccount(uid));
      CreditEntry entry;
      entry.set_kind(users::v1::APPROVAL);
      entry.set_time_unix_ms(now_());
      entry.set_amount_milli(application.amount_milli());
      entry.set_by_uid(decision.by);
      entry.set_reason(application.reason());
      RETURN_IF_ERROR(Book(std::move(entry), &account, &transaction));
    }
    RETURN_IF_ERROR(transaction.Commit(store_));
    return application;
  });
}

Status CreditBook::Forget(uint32_t uid) {
  Transaction transaction;
  transaction.RemoveAny(kUserCreditsTable, NumberKey(uid));
  for (const auto& application : Applications(uid, false)) {
    transaction.RemoveAny(kCreditApplicationsTable, ApplicationKey(uid, application.number()));
  }
  RETURN_IF_ERROR(store_.Scan(kCreditMonthsTable, PrefixOf(uid),
                              [&](const std::string& key, const std::string&) {
                                transaction.RemoveAny(kCreditMonthsTable, key);
                                return Ok();
                              }));
  return transaction.Commit(store_);
}

}  // namespace strata::vcluster
