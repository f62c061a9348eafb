#include "vclusterd/users/account_book.h"

#include <algorithm>
#include <mutex>

#include "common/log.h"
#include "common/pki/random.h"
#include "common/printable.h"
#include "common/records/retry.h"
#include "vclusterd/users/account_rules.h"
#include "vclusterd/users/record_change.h"
#include "vclusterd/users/tables.h"

namespace strata::vcluster {
namespace {

using users::v1::Account;
using users::v1::Index;
using users::v1::OpenIdSubject;
using users::v1::Secret;

constexpr uint32_t kRecordVersion = 1;
constexpr char kLastUid[] = "last/uid";
constexpr size_t kSubjectBytesMax = 1024;
// Numbers of the host within the range, which are stepped over.
constexpr uint32_t kStepsMax = 10'000;

std::string NameKey(const std::string& name) { return "name/" + name; }

Error NoAccount(uint32_t uid) {
  return Error(Code::kNotFound, "there is no account with the number " + std::to_string(uid));
}

Status CheckOpenId(const OpenIdSubject& subject) {
  const bool good = !subject.issuer().empty() && !subject.subject().empty() &&
                    subject.issuer().size() <= kSubjectBytesMax &&
                    subject.subject().size() <= kSubjectBytesMax &&
                    Printable(subject.issuer(), kSubjectBytesMax) == subject.issuer() &&
                    Printable(subject.subject(), kSubjectBytesMax) == subject.subject();
  if (good) return Ok();
  return Error(Code::kInvalidArgument,
               "an OpenID subject has an issuer and a name there, each of "
               "at most 1024 printable bytes");
}

bool IsSame(const OpenIdSubject& a, const OpenIdSubject& b) {
  return a.issuer() == b.issuer() && a.subject() == b.subject();
}

// Adds and takes away subjects, in the account and in the index.
Status EditOpenIds(records::RecordStore& store, const AccountEdit& edit, Account* account,
                   Transaction* transaction) {
  if (edit.link && edit.unlink && IsSame(*edit.link, *edit.unlink)) {
    return Error(Code::kInvalidArgument, "a subject is either linked or unlinked");
  }
  auto* subjects = account->mutable_open_ids();
  if (edit.unlink) {
    const auto it = std::find_if(subjects->begin(), subjects->end(), [&](const auto& subject) {
      return IsSame(subject, *edit.unlink);
    });
    if (it == subjects->end()) {
      return Error(Code::kNotFound, account->name() + " has no such OpenID subject");
    }
    subjects->erase(it);
    transaction->RemoveAny(kUserIndexTable, OpenIdKey(*edit.unlink));
  }
  if (!edit.link) return Ok();
  RETURN_IF_ERROR(CheckOpenId(*edit.link));
  const std::string key = OpenIdKey(*edit.link);
  ASSIGN_OR_RETURN(const auto index, Load<Index>(store, kUserIndexTable, key));
  if (index.raw && index.value.number() == account->uid()) return Ok();
  if (index.raw) {
    return Error(Code::kAlreadyExists, "this OpenID subject is of another account");
  }
  if (subjects->size() >= kOpenIdsMax) {
    return Error(Code::kResourceExhausted,
                 "an account has at most " + std::to_string(kOpenIdsMax) + " OpenID subjects");
  }
  *subjects->Add() = *edit.link;
  Index of;
  of.set_number(account->uid());
  transaction->Put(kUserIndexTable, key, index.raw, of);
  return Ok();
}

Status EditFields(const AccountEdit& edit, Account* account) {
  if (account->uid() == 0 && ((edit.role && *edit.role != users::v1::ADMIN) ||
                              (edit.status && *edit.status != users::v1::ACTIVE))) {
    return Error(Code::kPermissionDenied, "root of the host is always an active admin");
  }
  if (edit.status == users::v1::DELETED) {
    return Error(Code::kInvalidArgument, "an account is deleted by its deletion");
  }
  if (edit.real_name) RETURN_IF_ERROR(CheckRealName(*edit.real_name));
  if (edit.mail) RETURN_IF_ERROR(CheckMail(*edit.mail));
  if (edit.note) RETURN_IF_ERROR(CheckNote(*edit.note));
  if (edit.pam.value_or(false) && !account->of_host()) {
    return Error(Code::kInvalidArgument, account->name() +
                                             " is no user of the host: only those "
                                             "sign in by PAM");
  }
  if (edit.real_name) account->set_real_name(*edit.real_name);
  if (edit.mail) account->set_mail(*edit.mail);
  if (edit.note) account->set_note(*edit.note);
  if (edit.role) account->set_role(*edit.role);
  if (edit.status) account->set_status(*edit.status);
  if (edit.pam) account->set_pam(*edit.pam);
  return Ok();
}

}  // namespace

std::string OpenIdKey(const OpenIdSubject& subject) {
  return "open-id/" +
         pki::HexOf(pki::Sha256(subject.issuer() + std::string(1, '\0') + subject.subject()));
}

void AccountBook::Apply(const std::vector<records::RecordChange>& changes) {
  const std::lock_guard lock(mutex_);
  for (const records::RecordChange& change : changes) {
    const auto uid = NumberOfKey(change.key);
    if (change.table != kUsersTable || !uid || !change.value) continue;
    auto account = std::make_shared<Account>();
    if (!account->ParseFromString(*change.value) || account->uid() != *uid) {
      // Who it is may do nothing, instead of what a user without an account may.
      LOG_ERROR("the account " + Printable(change.key) + " is damaged: it counts as locked");
      account->Clear();
      account->set_uid(*uid);
      account->set_name(change.key);
      account->set_status(users::v1::LOCKED);
    }
    AccountPtr& place = accounts_[account->uid()];
    if (place != nullptr && place->status() != users::v1::DELETED) {
      by_name_.erase(place->name());
      for (const auto& subject : place->open_ids()) by_open_id_.erase(OpenIdKey(subject));
      if (place->status() == users::v1::WAITING) --waiting_;
    }
    place = std::move(account);
    if (place->status() == users::v1::DELETED) continue;
    by_name_[place->name()] = place->uid();
    for (const auto& subject : place->open_ids()) by_open_id_[OpenIdKey(subject)] = place->uid();
    if (place->status() == users::v1::WAITING) ++waiting_;
  }
}

Status AccountBook::CheckNew(const NewAccount& wanted) const {
  RETURN_IF_ERROR(CheckUserName(wanted.name));
  RETURN_IF_ERROR(CheckRealName(wanted.real_name));
  RETURN_IF_ERROR(CheckMail(wanted.mail));
  RETURN_IF_ERROR(CheckNote(wanted.note));
  if (wanted.open_id) RETURN_IF_ERROR(CheckOpenId(*wanted.open_id));
  if (wanted.password) RETURN_IF_ERROR(CheckPassword(*wanted.password, wanted.name));
  if (wanted.status != users::v1::WAITING && wanted.status != users::v1::ACTIVE) {
    return Error(Code::kInvalidArgument, "a new account is active or waits for approval");
  }
  const std::shared_lock lock(mutex_);
  if (wanted.status == users::v1::WAITING && waiting_ >= kWaitingAccountsMax) {
    return Error(Code::kResourceExhausted, "too many accounts wait for approval: ask an admin");
  }
  return Ok();
}

Result<AccountPtr> AccountBook::Create(const NewAccount& wanted) {
  RETURN_IF_ERROR(CheckNew(wanted));
  if (options_.host_uid && options_.host_uid(wanted.name)) {
    return Error(Code::kAlreadyExists,
                 "the host has a user '" + wanted.name + "': add him as a user of the host");
  }
  if (wanted.pam) {
    return Error(Code::kInvalidArgument, "only users of the host sign in by PAM");
  }
  return Store(wanted, std::nullopt);
}

Result<AccountPtr> AccountBook::AddHostUser(const NewAccount& wanted, bool unknown) {
  RETURN_IF_ERROR(CheckNew(wanted));
  const auto uid = options_.host_uid ? options_.host_uid(wanted.name) : std::nullopt;
  if (!uid) return Error(Code::kNotFound, "the host has no user '" + wanted.name + "'");
  if (*uid == 0 && (wanted.role != users::v1::ADMIN || wanted.status != users::v1::ACTIVE)) {
    return Error(Code::kInvalidArgument, "root of the host is always an active admin");
  }
  {
    const std::shared_lock lock(mutex_);
    if (unknown && accounts_.contains(*uid)) {
      return Error(Code::kPermissionDenied, "the account of " + wanted.name + " was deleted");
    }
  }
  return Store(wanted, uid);
}

Result<uint32_t> AccountBook::NextUid(uint32_t last) const {
  const uint32_t first = std::max(options_.uid_first, last + 1);
  for (uint32_t uid = first; uid <= options_.uid_last && uid - first < kStepsMax; ++uid) {
    {
      const std::shared_lock lock(mutex_);
      if (accounts_.contains(uid)) continue;  // Of a user of the host.
    }
    if (!options_.host_name || !options_.host_name(uid)) return uid;
  }
  return Error(Code::kResourceExhausted, "all numbers from " + std::to_string(options_.uid_first) +
                                             " to " + std::to_string(options_.uid_last) +
                                             " were given away: widen the range");
}

Result<AccountPtr> AccountBook::Store(const NewAccount& wanted, std::optional<uint32_t> host_uid) {
  std::string hash;
  if (wanted.password) {
    ASSIGN_OR_RETURN(hash, hasher_.Hash(*wanted.password));
  }
  return records::RetryWhileChanged([&]() -> Result<AccountPtr> {
    Transaction transaction;
    ASSIGN_OR_RETURN(const auto name, Load<Index>(store_, kUserIndexTable, NameKey(wanted.name)));
    if (name.raw) {
      return Error(Code::kAlreadyExists, "there is an account '" + wanted.name + "'");
    }
    Index number;
    if (host_uid) {
      number.set_number(*host_uid);
    } else {
      ASSIGN_OR_RETURN(const auto last, Load<Index>(store_, kUserIndexTable, kLastUid));
      ASSIGN_OR_RETURN(const uint32_t uid, NextUid(last.value.number()));
      number.set_number(uid);
      transaction.Put(kUserIndexTable, kLastUid, last.raw, number);
    }
    const std::string key = NumberKey(number.number());
    ASSIGN_OR_RETURN(auto old, Load<Account>(store_, kUsersTable, key));
    const bool is_his = host_uid && old.value.of_host();
    if (old.raw && !(old.value.status() == users::v1::DELETED && is_his)) {
      // Of a number that we chose ourselves: another was faster between our two looks.
      return Error(
          host_uid ? Code::kAlreadyExists : Code::kFailedPrecondition,
          "the number " + std::to_string(number.number()) + " is or was of an account already");
    }
    auto account = std::make_shared<Account>();
    account->set_version(kRecordVersion);
    account->set_revision(old.value.revision() + 1);
    account->set_uid(number.number());
    account->set_name(wanted.name);
    account->set_of_host(host_uid.has_value());
    account->set_has_password(wanted.password.has_value());
    account->set_created_unix_ms(now_());
    AccountEdit edit;
    edit.real_name = wanted.real_name;
    edit.mail = wanted.mail;
    edit.note = wanted.note;
    edit.role = wanted.role;
    edit.status = wanted.status;
    edit.pam = wanted.pam;
    edit.link = wanted.open_id;
    RETURN_IF_ERROR(EditFields(edit, account.get()));
    RETURN_IF_ERROR(EditOpenIds(store_, edit, account.get(), &transaction));
    transaction.Put(kUsersTable, key, old.raw, *account);
    transaction.Put(kUserIndexTable, NameKey(wanted.name), std::nullopt, number);
    if (wanted.password) {
      Secret secret;
      secret.set_password_hash(hash);
      secret.set_changed_unix_ms(now_());
      transaction.Put(kUserSecretsTable, key, std::nullopt, secret);
    }
    RETURN_IF_ERROR(transaction.Commit(store_));
    return AccountPtr(std::move(account));
  });
}

Result<AccountPtr> AccountBook::EditOnce(uint32_t uid, const AccountEdit& edit) {
  const std::string key = NumberKey(uid);
  ASSIGN_OR_RETURN(auto loaded, Load<Account>(store_, kUsersTable, key));
  if (!loaded.raw || loaded.value.status() == users::v1::DELETED) return NoAccount(uid);
  RETURN_IF_ERROR(
      CheckRevision(edit.revision, loaded.value, "the account of " + loaded.value.name()));
  Transaction transaction;
  auto account = std::make_shared<Account>(loaded.value);
  account->set_revision(loaded.value.revision() + 1);
  RETURN_IF_ERROR(EditFields(edit, account.get()));
  RETURN_IF_ERROR(EditOpenIds(store_, edit, account.get(), &transaction));
  transaction.Put(kUsersTable, key, loaded.raw, *account);
  RETURN_IF_ERROR(transaction.Commit(store_));
  return AccountPtr(std::move(account));
}

Result<AccountPtr> AccountBook::Edit(uint32_t uid, const AccountEdit& edit) {
  return ChangeFrom(edit.revision, [&] { return EditOnce(uid, edit); });
}

Status AccountBook::Delete(uint32_t uid, std::optional<uint64_t> revision) {
  if (uid == 0) {
    return Error(Code::kPermissionDenied, "root of the host is always an active admin");
  }
  return ChangeFrom(revision, [&]() -> Status {
    const std::string key = NumberKey(uid);
    ASSIGN_OR_RETURN(const auto loaded, Load<Account>(store_, kUsersTable, key));
    const Account& account = loaded.value;
    if (!loaded.raw || account.status() == users::v1::DELETED) return NoAccount(uid);
    RETURN_IF_ERROR(CheckRevision(revision, account, "the account of " + account.name()));
    Transaction transaction;
    Account rest;
    rest.set_version(kRecordVersion);
    rest.set_revision(account.revision() + 1);
    rest.set_uid(uid);
    rest.set_name(account.name());  // For those who read of him later.
    rest.set_of_host(account.of_host());
    rest.set_status(users::v1::DELETED);
    rest.set_created_unix_ms(account.created_unix_ms());
    transaction.Put(kUsersTable, key, loaded.raw, rest);
    transaction.RemoveAny(kUserIndexTable, NameKey(account.name()));
    transaction.RemoveAny(kUserSecretsTable, key);
    transaction.RemoveAny(kUserLimitsTable, UserLimitsKey(uid));
    for (const auto& subject : account.open_ids()) {
      transaction.RemoveAny(kUserIndexTable, OpenIdKey(subject));
    }
    return transaction.Commit(store_);
  });
}

Status AccountBook::StoreHash(uint32_t uid, const std::string& hash,
                              const std::optional<std::string>& was, bool is_new) {
  const std::string key = NumberKey(uid);
  Transaction transaction;
  Secret secret;
  secret.set_password_hash(hash);
  secret.set_changed_unix_ms(now_());
  transaction.Put(kUserSecretsTable, key, was, secret);
  ASSIGN_OR_RETURN(auto loaded, Load<Account>(store_, kUsersTable, key));
  if (!loaded.raw || loaded.value.status() == users::v1::DELETED) return NoAccount(uid);
  if (loaded.value.has_password() && !is_new) {
    transaction.Expect(kUsersTable, key, loaded.raw);
  } else {
    loaded.value.set_has_password(true);
    loaded.value.set_revision(loaded.value.revision() + 1);
    transaction.Put(kUsersTable, key, loaded.raw, loaded.value);
  }
  return transaction.Commit(store_);
}

Status AccountBook::SetPassword(uint32_t uid, const std::string& password) {
  const AccountPtr account = Find(uid);
  if (account == nullptr) return NoAccount(uid);
  RETURN_IF_ERROR(CheckPassword(password, account->name()));
  ASSIGN_OR_RETURN(const std::string hash, hasher_.Hash(password));
  return records::RetryWhileChanged([&]() -> Status {
    ASSIGN_OR_RETURN(const auto secret, Load<Secret>(store_, kUserSecretsTable, NumberKey(uid)));
    return StoreHash(uid, hash, secret.raw, /*is_new=*/true);
  });
}

Result<bool> AccountBook::VerifyPassword(const std::string& name, std::string_view password) {
  // Nobody has a longer one; its length says nothing of the account.
  if (password.size() > kPasswordBytesMax) return false;
  const AccountPtr account = FindByName(name);
  Loaded<Secret> secret;
  if (account != nullptr) {
    ASSIGN_OR_RETURN(secret, Load<Secret>(store_, kUserSecretsTable, NumberKey(account->uid())));
  }
  if (!secret.raw) {
    RETURN_IF_ERROR(hasher_.VerifyNobody(password));
    return false;
  }
  ASSIGN_OR_RETURN(const bool is_his, hasher_.Verify(password, secret.value.password_hash()));
  if (is_his && hasher_.IsStale(secret.value.password_hash())) {
    // A password that was changed meanwhile stays as it was changed.
    const auto hash = hasher_.Hash(password);
    const Status stored = hash.ok() ? StoreHash(account->uid(), *hash, secret.raw, /*is_new=*/false)
                                    : Status(hash.error());
    if (!stored.ok()) {
      LOG_WARNING("the password hash of " + account->name() +
                  " could not be made anew: " + stored.error().message());
    }
  }
  return is_his;
}

AccountPtr AccountBook::Find(uint32_t uid) const {
  const std::shared_lock lock(mutex_);
  const auto it = accounts_.find(uid);
  if (it == accounts_.end() || it->second->status() == users::v1::DELETED) return nullptr;
  return it->second;
}

AccountPtr AccountBook::FindByName(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : accounts_.at(it->second);
}

AccountPtr AccountBook::FindByOpenId(const OpenIdSubject& subject) const {
  const std::string key = OpenIdKey(subject);
  const std::shared_lock lock(mutex_);
  const auto it = by_open_id_.find(key);
  return it == by_open_id_.end() ? nullptr : accounts_.at(it->second);
}

std::vector<AccountPtr> AccountBook::All() const {
  std::vector<AccountPtr> all;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [uid, account] : accounts_) {
      if (account->status() != users::v1::DELETED) all.push_back(account);
    }
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a->uid() < b->uid(); });
  return all;
}

std::optional<users::v1::Role> AccountBook::RoleOf(uint32_t uid) const {
  if (uid == 0) return users::v1::ADMIN;
  const std::shared_lock lock(mutex_);
  const auto it = accounts_.find(uid);
  if (it == accounts_.end()) return users::v1::USER;
  if (it->second->status() != users::v1::ACTIVE) return std::nullopt;
  return it->second->role();
}

}  // namespace strata::vcluster
