// The changes that users make to accounts, groups, limits and credits.
#include <string>
#include <vector>

#include "vclusterd/users/users.h"

namespace strata::vcluster {
namespace {

void AddWords(const std::string& words, std::string* text) {
  *text += (text->empty() ? "" : ", ") + words;
}

// What an edit changes, for who reads of it later.
std::string Describe(const AccountEdit& edit) {
  std::string text;
  if (edit.real_name) AddWords("real name", &text);
  if (edit.mail) AddWords("mail", &text);
  if (edit.note) AddWords("note", &text);
  if (edit.role) AddWords("role " + users::v1::Role_Name(*edit.role), &text);
  if (edit.status) AddWords("status " + users::v1::AccountStatus_Name(*edit.status), &text);
  if (edit.pam) AddWords(*edit.pam ? "with PAM" : "without PAM", &text);
  if (edit.link) AddWords("link " + edit.link->subject(), &text);
  if (edit.unlink) AddWords("unlink " + edit.unlink->subject(), &text);
  return text;
}

void AddUids(const char* what, const std::vector<uint32_t>& uids, std::string* text) {
  constexpr size_t kShown = 20;
  if (uids.empty()) return;
  std::string words = what;
  for (size_t i = 0; i < uids.size() && i < kShown; ++i) words += " " + std::to_string(uids[i]);
  if (uids.size() > kShown) words += " and " + std::to_string(uids.size() - kShown) + " more";
  AddWords(words, text);
}

std::string Describe(const GroupEdit& edit) {
  std::string text;
  if (edit.description) AddWords("description", &text);
  AddUids("owners +", edit.add_owners, &text);
  AddUids("owners -", edit.remove_owners, &text);
  AddUids("members +", edit.enrol, &text);
  AddUids("invited +", edit.invite, &text);
  AddUids("members -", edit.remove, &text);
  return text;
}

// The rights that an edit needs; at least one.
std::vector<Operation> NeededBy(const GroupEdit& edit) {
  std::vector<Operation> needed;
  if (!edit.enrol.empty()) needed.push_back(Operation::kGroupEnrol);
  if (!edit.invite.empty() || !edit.remove.empty()) needed.push_back(Operation::kGroupInvite);
  const bool is_edit = edit.description || !edit.add_owners.empty() || !edit.remove_owners.empty();
  if (is_edit || needed.empty()) needed.push_back(Operation::kGroupEdit);
  return needed;
}

std::vector<Operation> NeededBy(const AccountEdit& edit, const AccountPtr& account) {
  std::vector<Operation> needed;
  // A link without proof takes a stranger's sign-in over.
  if (edit.role || edit.pam || edit.link) needed.push_back(Operation::kUserRole);
  const bool is_active = edit.status == users::v1::ACTIVE;
  const bool waits = account != nullptr && account->status() == users::v1::WAITING;
  if (is_active) needed.push_back(waits ? Operation::kUserApprove : Operation::kUserUnlock);
  if (edit.note || (edit.status && !is_active)) needed.push_back(Operation::kUserLock);
  if (edit.real_name || edit.mail || edit.unlink || needed.empty()) {
    needed.push_back(Operation::kUserEdit);
  }
  return needed;
}

}  // namespace

Result<AccountPtr> Users::CreateAccount(const Caller& caller, const NewAccount& wanted,
                                        bool of_host) {
  const Target target{std::nullopt, wanted.name, ""};
  return Perform(caller, Operation::kUserCreate, target, users::v1::Role_Name(wanted.role), [&] {
    return of_host ? accounts_.AddHostUser(wanted) : accounts_.Create(wanted);
  });
}

Status Users::CheckAll(const Caller& caller, const std::vector<Operation>& operations,
                       const Target& target) const {
  for (const Operation operation : operations) {
    RETURN_IF_ERROR(Check(caller, operation, target));
  }
  return Ok();
}

Result<AccountPtr> Users::EditAccount(const Caller& caller, uint32_t uid, const AccountEdit& edit) {
  const Target target = AccountTarget(uid);
  const std::vector<Operation> needed = NeededBy(edit, accounts_.Find(uid));
  return Perform(caller, needed[0], target, Describe(edit), [&]() -> Result<AccountPtr> {
    RETURN_IF_ERROR(CheckAll(caller, needed, target));
    ASSIGN_OR_RETURN(AccountPtr account, accounts_.Edit(uid, edit));
    // An unlocked account does not go on with the sessions of a thief.
    if (account->status() == users::v1::LOCKED) {
      RETURN_IF_ERROR(tokens_.RevokeOf(uid, users::v1::SESSION));
    }
    return account;
  });
}

Result<AccountPtr> Users::LinkOpenId(const Caller& caller, const IdClaims& claims) {
  AccountEdit edit;
  edit.link.emplace();
  edit.link->set_issuer(claims.issuer);
  edit.link->set_subject(claims.subject);
  return Perform(caller, Operation::kUserEdit, AccountTarget(caller.uid), Describe(edit),
                 [&] { return accounts_.Edit(caller.uid, edit); });
}

Status Users::DeleteAccount(const Caller& caller, uint32_t uid, std::optional<uint64_t> revision) {
  return Perform(caller, Operation::kUserDelete, AccountTarget(uid), "", [&]() -> Status {
    const Status deleted = accounts_.Delete(uid, revision);
    // The rest of a deletion that a crash cut short may be repeated.
    const bool is_gone =
        deleted.ok() || (deleted.error().code() == Code::kNotFound && !accounts_.RoleOf(uid));
    if (!is_gone) return deleted;
    RETURN_IF_ERROR(tokens_.RevokeOf(uid, std::nullopt));
    RETURN_IF_ERROR(groups_.LeaveAll(uid));
    RETURN_IF_ERROR(credits_.Forget(uid));
    return deleted;
  });
}

Status Users::SetPassword(const Caller& caller, uint32_t uid, const std::string& old_password,
                          const std::string& new_password) {
  return Perform(caller, Operation::kUserPassword, AccountTarget(uid), "", [&]() -> Status {
    const AccountPtr account = accounts_.Find(uid);
    if (account == nullptr) return Error(Code::kNotFound, "there is no such account");
    // Who has only a session of his must not be able to keep the account. Root of the host is known
    // without one.
    const bool is_root = uid == 0 && caller.token == nullptr;
    if (caller.uid == uid && !is_root) {
      const auto proved = sign_in_.WithPassword(account->name(), old_password, caller.source);
      if (!proved.ok()) return proved.error();
    }
    RETURN_IF_ERROR(accounts_.SetPassword(uid, new_password));
    return tokens_.RevokeOf(uid, users::v1::SESSION);
  });
}

Status Users::UnlockSignIn(const Caller& caller, uint32_t uid) {
  return Perform(caller, Operation::kUserUnlock, AccountTarget(uid), "sign-in", [&]() -> Status {
    const AccountPtr account = accounts_.Find(uid);
    if (account == nullptr) return Error(Code::kNotFound, "there is no such account");
    guard_.UnlockAccount(account->name());
    return Ok();
  });
}

// --- Groups -------------------------------------------------------------------------------------

Result<GroupPtr> Users::CreateGroup(const Caller& caller, const std::string& name,
                                    const std::string& description) {
  const Target target{caller.uid, "group " + name, ""};
  return Perform(caller, Operation::kGroupCreate, target, "",
                 [&] { return groups_.Create(name, description, caller.uid); });
}

Result<GroupPtr> Users::EditGroup(const Caller& caller, uint32_t number, const GroupEdit& edit) {
  const Target target = GroupTarget(caller, number);
  const std::vector<Operation> needed = NeededBy(edit);
  return Perform(caller, needed[0], target, Describe(edit), [&]() -> Result<GroupPtr> {
    RETURN_IF_ERROR(CheckAll(caller, needed, target));
    return groups_.Edit(number, edit);
  });
}

Status Users::JoinGroup(const Caller& caller, uint32_t number) {
  Target target = GroupTarget(caller, number);
  target.owner = caller.uid;  // What he gives is his own.
  return Perform(caller, Operation::kGroupJoin, target, "join",
                 [&] { return groups_.Join(number, caller.uid); });
}

Status Users::LeaveGroup(const Caller& caller, uint32_t number) {
  Target target = GroupTarget(caller, number);
  target.owner = caller.uid;
  return Perform(caller, Operation::kGroupJoin, target, "leave",
                 [&] { return groups_.Leave(number, caller.uid); });
}

Status Users::DeleteGroup(const Caller& caller, uint32_t number, std::optional<uint64_t> revision) {
  return Perform(caller, Operation::kGroupDelete, GroupTarget(caller, number), "",
                 [&] { return groups_.Delete(number, revision); });
}

// --- Limits and credits -------------------------------------------------------------------------

Status Users::SetLimits(const Caller& caller, const LimitHolder& holder, const LimitSet& limits,
                        std::optional<uint64_t> revision) {
  Target target{std::nullopt, "the default", ""};
  if (holder.kind == LimitHolder::Kind::kUser) {
    target = AccountTarget(holder.number);
  } else if (holder.kind != LimitHolder::Kind::kDefault) {
    target = GroupTarget(caller, holder.number);
  }
  if (const auto rate = limits[Resource::kHostBandwidth]) {
    if (holder.kind == LimitHolder::Kind::kGroupAll) {
      return Error(
          Code::kInvalidArgument,
          "bandwidth-per-host is of one user's nodes: give it to each member of the group");
    }
    if (*rate < kHostBandwidthMin || *rate > kHostBandwidthMax) {
      return Error(Code::kInvalidArgument, "bandwidth-per-host is from 8kbit to 100Gbit");
    }
  }
  std::string detail;
  for (size_t i = 0; i < kResources; ++i) {
    const auto resource = static_cast<Resource>(i);
    if (!limits[resource]) continue;
    detail += (detail.empty() ? "" : ", ") + std::string(vcluster::NameOf(resource)) + " " +
              std::to_string(*limits[resource]);
  }
  return Perform(caller, Operation::kQuotaSet, target, detail,
                 [&] { return quotas_.Set(holder, limits, revision); });
}

Status Users::CheckQuota(uint32_t uid, const QuotaAmounts& asked, const QuotaUsage& usage) const {
  return quotas_.Check(uid, NameOf(uid), asked, usage);
}

Status Users::CheckCredits(uint32_t uid) const {
  if (credits_.VerdictInForce(uid) != CreditVerdict::kStop) return Ok();
  return Error(Code::kResourceExhausted, "the credits of " + NameOf(uid) + " are used up (" +
                                             InCredits(credits_.Balance(uid)) +
                                             "): ask for more with: vcluster credit apply");
}

std::string Users::CreditNotice(uint32_t uid) const {
  const CreditVerdict verdict = credits_.VerdictInForce(uid);
  if (verdict == CreditVerdict::kGo) return {};
  const std::string left = InCredits(credits_.Balance(uid));
  return verdict == CreditVerdict::kStop
             ? "the credits of " + NameOf(uid) + " are used up (vcluster credit apply)"
             : NameOf(uid) + " has " + left + " credits left (vcluster credit apply)";
}

Result<MilliCredits> Users::GrantCredits(const Caller& caller, uint32_t uid, MilliCredits amount,
                                         const std::string& reason) {
  return Perform(caller, Operation::kCreditGrant, AccountTarget(uid),
                 InCredits(amount) + " " + reason,
                 [&] { return credits_.Grant(uid, amount, caller.uid, reason); });
}

Status Users::SetCreditBudget(const Caller& caller, uint32_t teacher, MilliCredits budget) {
  return Perform(caller, Operation::kCreditGrant, AccountTarget(teacher),
                 "budget " + InCredits(budget),
                 [&] { return credits_.SetBudget(teacher, budget); });
}

Result<users::v1::CreditApplication> Users::ApplyForCredits(const Caller& caller,
                                                            MilliCredits amount,
                                                            const std::string& reason) {
  return Perform(caller, Operation::kCreditApply, AccountTarget(caller.uid), InCredits(amount),
                 [&] { return credits_.ApplyFor(caller.uid, amount, reason); });
}

Result<users::v1::CreditApplication> Users::DecideApplication(const Caller& caller, uint32_t uid,
                                                              uint32_t number, bool approve,
                                                              const std::string& comment) {
  const std::string detail = (approve ? "approved " : "denied ") + std::to_string(number);
  return Perform(caller, Operation::kCreditDecide, AccountTarget(uid), detail, [&] {
    CreditBook::Decision decision;
    decision.approve = approve;
    decision.by = caller.uid;
    decision.from_budget = accounts_.RoleOf(caller.uid) != users::v1::ADMIN;
    decision.comment = comment;
    return credits_.Decide(uid, number, decision);
  });
}

}  // namespace strata::vcluster
