#include "vclusterd/users/users.h"

#include <charconv>

#include "common/log.h"
#include "common/printable.h"

namespace strata::vcluster {
namespace {

constexpr char kSignInOperation[] = "user.sign-in";  // Everybody may try.

users::v1::AuditEvent EventOf(const Caller& caller, const Target& target) {
  users::v1::AuditEvent event;
  event.set_uid(caller.uid);
  event.set_via(caller.via);
  event.set_source(caller.source);
  if (caller.token != nullptr) event.set_token(caller.token->id);
  event.set_object(target.name);
  event.set_owned(target.owner.has_value());
  event.set_owner_uid(target.owner.value_or(0));
  return event;
}

}  // namespace

Users::Users(records::RecordStore& store, UserOptions options,
             std::unique_ptr<PasswordHasher> hasher, std::unique_ptr<AuditLog> audit)
    : options_(std::move(options)),
      hasher_(std::move(hasher)),
      audit_(std::move(audit)),
      accounts_(store, *hasher_, options_.accounts, options_.now),
      tokens_(store, options_.now),
      groups_(store, options_.now),
      quotas_(store, groups_),
      credits_(store, options_.credits, options_.now),
      sign_in_(accounts_, guard_, options_.sign_in, options_.now) {}

Result<std::unique_ptr<Users>> Users::Open(records::RecordStore& store,
                                           const std::string& audit_directory,
                                           UserOptions options) {
  ASSIGN_OR_RETURN(auto hasher, PasswordHasher::Create(options.hash_cost, options.hashes_at_once));
  ASSIGN_OR_RETURN(auto audit, AuditLog::Open(audit_directory, options.now, options.audit));
  return std::unique_ptr<Users>(
      new Users(store, std::move(options), std::move(hasher), std::move(audit)));
}

void Users::Apply(const std::vector<records::RecordChange>& changes) {
  accounts_.Apply(changes);
  tokens_.Apply(changes);
  groups_.Apply(changes);
  quotas_.Apply(changes);
  credits_.Apply(changes);
}

Status Users::KeepHouse() {
  RETURN_IF_ERROR(tokens_.WriteUses());
  return tokens_.RemoveEnded();
}

std::string Users::NameOf(uint32_t uid) const {
  if (const AccountPtr account = accounts_.Find(uid)) return account->name();
  const auto& host_name = options_.accounts.host_name;
  return (host_name ? host_name(uid) : std::nullopt).value_or(std::to_string(uid));
}

Result<uint32_t> Users::UidOf(const std::string& name) const {
  if (const AccountPtr account = accounts_.FindByName(name)) return account->uid();
  const auto& host_uid = options_.accounts.host_uid;
  if (const auto uid = host_uid ? host_uid(name) : std::nullopt) return *uid;
  uint32_t uid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), uid);
  if (name.empty() || error != std::errc() || end != name.data() + name.size()) {
    return Error(Code::kNotFound, "no user is called '" + Printable(name) + "'");
  }
  return uid;
}

Target Users::AccountTarget(uint32_t uid) const { return {uid, NameOf(uid), ""}; }

// One's own is a group that one owns, whoever else does. Its name is for those whom it concerns,
// and events show it.
Target Users::GroupTarget(const Caller& caller, uint32_t number) const {
  const GroupPtr group = groups_.Find(number);
  const std::string anonymous = "group " + std::to_string(number);
  if (group == nullptr) return {std::nullopt, anonymous, ""};
  const bool is_his = groups_.IsOwner(number, caller.uid);
  const bool may_know =
      groups_.Concerns(number, caller.uid) || Allows(caller, Operation::kGroupList, {});
  return {is_his ? caller.uid : group->owner_uids(0),
          may_know ? "group " + group->name() : anonymous, ""};
}

// --- Signing in ---------------------------------------------------------------------------------

void Users::RecordSignIn(const std::string& how, const AccountPtr& known, const std::string& source,
                         const Result<AccountPtr>& account) {
  const AccountPtr who = account.ok() ? *account : known;
  users::v1::AuditEvent event;
  event.set_operation(kSignInOperation);
  event.set_source(source);
  event.set_detail(how);
  // A name that is nobody's may be a password in the wrong field.
  event.set_object(who != nullptr ? who->name() : "(unknown)");
  event.set_owned(who != nullptr);
  if (who != nullptr) event.set_owner_uid(who->uid());
  if (account.ok()) {
    event.set_uid(who->uid());
    event.set_user(who->name());
  }
  audit_->Record(std::move(event), account.ok() ? Ok() : Status(account.error()));
}

Result<MadeToken> Users::StartSession(const AccountPtr& account) {
  NewToken session;
  session.uid = account->uid();
  session.kind = users::v1::SESSION;
  session.life_ms = options_.session_life_ms;
  return tokens_.Make(session);
}

Result<MadeToken> Users::SignInWithPassword(const std::string& name, const std::string& password,
                                            const std::string& source) {
  const RequestScope request;
  const auto account = sign_in_.WithPassword(name, password, source);
  RecordSignIn("password", accounts_.FindByName(name), source, account);
  if (!account.ok()) return account.error();
  return StartSession(*account);
}

Result<MadeToken> Users::SignInWithClaims(const IdClaims& claims, const std::string& source) {
  const RequestScope request;
  const auto account = sign_in_.WithClaims(claims);
  const std::string how = "issuer " + claims.issuer + ", subject " + claims.subject;
  RecordSignIn(how, nullptr, source, account);
  if (!account.ok()) return account.error();
  return StartSession(*account);
}

Result<AccountPtr> Users::Register(NewAccount wanted, const std::string& source) {
  const RequestScope request;
  wanted.status = users::v1::WAITING;
  wanted.role = users::v1::USER;
  wanted.pam = false;
  wanted.open_id.reset();  // That is proved by signing in.
  RETURN_IF_ERROR(registrations_.CheckSource(source, options_.now()));
  registrations_.Failed(source, options_.now());
  auto account = accounts_.Create(wanted);
  users::v1::AuditEvent event;
  event.set_operation("user.register");
  event.set_source(source);
  event.set_object(wanted.name);
  audit_->Record(std::move(event), account.ok() ? Ok() : Status(account.error()));
  return account;
}

Result<Caller> Users::CallerOf(std::string_view token, const std::string& via,
                               const std::string& source) const {
  Caller caller;
  ASSIGN_OR_RETURN(caller.token, tokens_.Check(token));
  caller.uid = caller.token->record.uid();
  if (!accounts_.RoleOf(caller.uid)) {
    return Error(Code::kPermissionDenied, "this account is not active");
  }
  caller.via = via;
  caller.source = source;
  return caller;
}

// --- Rights -------------------------------------------------------------------------------------

Relation Users::RelationOf(uint32_t caller, std::optional<uint32_t> owner) const {
  if (!owner) return Relation::kOther;
  if (*owner == caller) return Relation::kOwn;
  // Who may do more than a user is nobody's pupil: what is his could be turned against others.
  const AccountPtr account = accounts_.Find(*owner);
  const bool is_user = *owner != 0 && (account == nullptr || account->role() == users::v1::USER);
  return is_user && groups_.Teaches(caller, *owner) ? Relation::kTaught : Relation::kOther;
}

bool Users::Allows(const Caller& caller, Operation operation, const Target& target) const {
  const auto role = accounts_.RoleOf(caller.uid);
  if (!role) return false;
  if (caller.token != nullptr) {
    const TokenScope& scope = caller.token->scope;
    if (!scope.operations.Has(operation)) return false;
    if (!scope.vcluster.empty() && scope.vcluster != target.vcluster) return false;
  }
  return MayDo(*role, operation, RelationOf(caller.uid, target.owner));
}

Status Users::Check(const Caller& caller, Operation operation, const Target& target) const {
  if (Allows(caller, operation, target)) return Ok();
  const std::string what(vcluster::NameOf(operation));
  const bool by_token = caller.token != nullptr &&
                        Allows({caller.uid, caller.via, caller.source, nullptr}, operation, target);
  if (by_token) return Error(Code::kPermissionDenied, "this token is not for " + what);
  return Error(Code::kPermissionDenied, "you may not do this: " + what);
}

Status Users::Authorize(const Caller& caller, Operation operation, const Target& target) {
  const Status allowed = Check(caller, operation, target);
  if (!allowed.ok()) Record(caller, operation, target, "", allowed);
  return allowed;
}

void Users::Record(const Caller& caller, Operation operation, const Target& target,
                   const std::string& detail, const Status& status) {
  users::v1::AuditEvent event = EventOf(caller, target);
  event.set_user(NameOf(caller.uid));
  event.set_operation(std::string(vcluster::NameOf(operation)));
  event.set_detail(detail);
  audit_->Record(std::move(event), status);
}

Result<std::vector<users::v1::AuditEvent>> Users::Events(const Caller& caller, AuditQuery query) {
  const bool sees_all = Allows(caller, Operation::kAuditRead, {});
  if (!sees_all) {
    RETURN_IF_ERROR(Authorize(caller, Operation::kAuditRead, AccountTarget(caller.uid)));
    query.visible_to = caller.uid;
  }
  return audit_->Find(query);
}

// --- Tokens -------------------------------------------------------------------------------------

Result<MadeToken> Users::CreateToken(const Caller& caller, NewToken wanted) {
  wanted.uid = caller.uid;
  const Target target = AccountTarget(caller.uid);
  return Perform(caller, Operation::kTokenCreate, target, wanted.name, [&]() -> Result<MadeToken> {
    if (wanted.kind == users::v1::SESSION) {
      return Error(Code::kInvalidArgument, "a session begins with a sign-in");
    }
    if (accounts_.Find(caller.uid) == nullptr) {
      return Error(Code::kFailedPrecondition, "who has no account here has no tokens");
    }
    if (caller.token != nullptr) {
      const Token& shown = *caller.token;
      const bool is_wider =
          !shown.scope.operations.Includes(wanted.scope.operations) ||
          (!shown.scope.vcluster.empty() && shown.scope.vcluster != wanted.scope.vcluster);
      const bool is_longer = shown.record.kind() != users::v1::SESSION &&
                             options_.now() + wanted.life_ms > shown.expires_unix_ms;
      if (is_wider || is_longer) {
        return Error(Code::kPermissionDenied,
                     "a token makes none that can do more, or lives longer, than itself");
      }
    }
    return tokens_.Make(wanted);
  });
}

Status Users::RevokeToken(const Caller& caller, const std::string& id) {
  const TokenPtr token = tokens_.Find(id);
  if (token == nullptr) return Error(Code::kNotFound, "there is no such token");
  const uint32_t uid = token->record.uid();
  if (RelationOf(caller.uid, uid) != Relation::kOwn &&
      !Allows(caller, Operation::kTokenList, AccountTarget(uid))) {
    return Error(Code::kNotFound, "there is no such token");
  }
  return Perform(caller, Operation::kTokenRevoke, AccountTarget(uid), "token " + id,
                 [&] { return tokens_.Revoke(*token); });
}

Result<MadeToken> Users::MakeNodeToken(uint32_t uid, const std::string& vcluster,
                                       const OperationSet& operations, int64_t life_ms,
                                       const std::string& name) {
  NewToken wanted;
  wanted.uid = uid;
  wanted.kind = users::v1::NODE;
  wanted.name = name;
  wanted.life_ms = life_ms;
  wanted.scope = {operations, vcluster};
  return tokens_.Make(wanted);
}

std::vector<TokenPtr> Users::NodeTokensOf(uint32_t uid, const std::string& vcluster) const {
  std::vector<TokenPtr> tokens = tokens_.Of(uid);
  std::erase_if(tokens, [&](const TokenPtr& token) {
    return token->record.kind() != users::v1::NODE || token->scope.vcluster != vcluster;
  });
  return tokens;
}

}  // namespace strata::vcluster
