#include "vclusterd/users/token_book.h"

#include <algorithm>
#include <mutex>

#include "common/base64url.h"
#include "common/log.h"
#include "common/pki/random.h"
#include "common/printable.h"
#include "vclusterd/users/account_rules.h"
#include "vclusterd/users/record_change.h"
#include "vclusterd/users/tables.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kRecordVersion = 1;
constexpr size_t kSecretBytes = 32;
constexpr size_t kTextBytesMax = 64;
constexpr size_t kIdDigits = 16;
constexpr size_t kVclusterBytesMax = 200;
constexpr size_t kChangesPerCommit = 100;  // etcd takes 128 operations.
constexpr std::string_view kPrefix = "strata_";
// Uses are noted in steps of a minute, so that threads do not take turns at a word of memory.
constexpr int64_t kUseStepMs = kMinuteMs;

std::string_view WordOf(users::v1::TokenKind kind) {
  switch (kind) {
    case users::v1::API:
      return "api_";
    case users::v1::NODE:
      return "node_";
    default:
      return "session_";
  }
}

size_t MaxOf(users::v1::TokenKind kind) {
  switch (kind) {
    case users::v1::API:
      return kApiTokensMax;
    case users::v1::NODE:
      return kNodeTokensMax;
    default:
      return kSessionsMax;
  }
}

TokenScope ScopeOf(const users::v1::Token& record) {
  TokenScope scope;
  scope.vcluster = record.vcluster();
  if (record.everything()) return scope;
  scope.operations = OperationSet();
  for (const std::string& name : record.operations()) {
    // One that this version does not know is none that it could be used for.
    if (const auto operation = ParseOperation(name)) scope.operations.Add(*operation);
  }
  return scope;
}

Error Changed() {
  return Error(Code::kFailedPrecondition, "the account was changed meanwhile: sign in again");
}

std::shared_ptr<const Token> MakeEntry(const std::string& key, users::v1::Token record) {
  auto token = std::make_shared<Token>();
  token->id = key.substr(0, kIdDigits);
  token->key = key;
  token->scope = ScopeOf(record);
  token->used_unix_ms = record.used_unix_ms();
  token->expires_unix_ms = record.expires_unix_ms();
  token->record = std::move(record);
  return token;
}

Error Refused() {
  return Error(Code::kPermissionDenied, "this token is not good, or not any more");
}

Status CheckWanted(const NewToken& wanted) {
  RETURN_IF_ERROR(CheckNote(wanted.name));
  const bool is_session = wanted.kind == users::v1::SESSION;
  const int64_t life_ms_max = is_session ? kSessionLifeMsMax : kTokenLifeMsMax;
  if (wanted.life_ms < kSecondMs || wanted.life_ms > life_ms_max) {
    return Error(Code::kInvalidArgument,
                 "a token lives for a second to " + std::to_string(life_ms_max / kDayMs) + " days");
  }
  if (wanted.scope.operations.empty()) {
    return Error(Code::kInvalidArgument, "a token is for at least one operation");
  }
  const std::string& vcluster = wanted.scope.vcluster;
  if (vcluster.size() > kVclusterBytesMax || Printable(vcluster) != vcluster) {
    return Error(Code::kInvalidArgument, "a token's Vcluster is a name");
  }
  if (wanted.kind == users::v1::NODE &&
      (vcluster.empty() || wanted.scope.operations == OperationSet::All())) {
    return Error(Code::kInvalidArgument,
                 "a node's token is for its own Vcluster and named operations");
  }
  return Ok();
}

}  // namespace

void TokenBook::Apply(const std::vector<records::RecordChange>& changes) {
  const std::lock_guard lock(mutex_);
  for (const records::RecordChange& change : changes) {
    if (change.table != kUserTokensTable) continue;
    const auto hash = Digest::FromHex(change.key);
    if (!hash.ok()) continue;
    int64_t used_unix_ms = 0;
    if (const auto old = tokens_.find(*hash); old != tokens_.end()) {
      used_unix_ms = old->second->used_unix_ms;
      const auto of = by_uid_.find(old->second->record.uid());
      std::erase(of->second, old->second);
      if (of->second.empty()) by_uid_.erase(of);
      tokens_.erase(old);
    }
    users::v1::Token record;
    if (!change.value) continue;
    if (!record.ParseFromString(*change.value)) {
      LOG_ERROR("the token " + change.key.substr(0, kIdDigits) + " is damaged and passed over");
      continue;
    }
    const TokenPtr token = MakeEntry(change.key, std::move(record));
    token->used_unix_ms = std::max(used_unix_ms, token->used_unix_ms.load());
    tokens_[*hash] = token;
    by_uid_[token->record.uid()].push_back(token);
  }
}

template <typename Wanted>
std::vector<TokenPtr> TokenBook::Select(const Wanted& wanted) const {
  std::vector<TokenPtr> selected;
  const std::shared_lock lock(mutex_);
  for (const auto& [hash, token] : tokens_) {
    if (wanted(*token)) selected.push_back(token);
  }
  return selected;
}

std::vector<TokenPtr> TokenBook::Of(uint32_t uid) const {
  std::vector<TokenPtr> tokens;
  {
    const std::shared_lock lock(mutex_);
    const auto it = by_uid_.find(uid);
    if (it != by_uid_.end()) tokens = it->second;
  }
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) {
    const int64_t a_ms = a->record.created_unix_ms();
    const int64_t b_ms = b->record.created_unix_ms();
    return a_ms != b_ms ? a_ms < b_ms : a->id < b->id;
  });
  return tokens;
}

// The limits are checked here and not in the commit: two at once may exceed them by one.
Status TokenBook::MakeRoom(const NewToken& wanted) {
  std::vector<TokenPtr> tokens = Of(wanted.uid);
  const int64_t now = now_();
  std::erase_if(tokens, [&](const TokenPtr& token) {
    return token->record.kind() != wanted.kind || token->record.expires_unix_ms() <= now;
  });
  if (tokens.size() < MaxOf(wanted.kind)) return Ok();
  if (wanted.kind == users::v1::SESSION) return Revoke(*tokens.front());
  return Error(Code::kResourceExhausted,
               "there are " + std::to_string(tokens.size()) + " tokens: revoke some first");
}

Result<MadeToken> TokenBook::Make(const NewToken& wanted) {
  RETURN_IF_ERROR(CheckWanted(wanted));
  RETURN_IF_ERROR(MakeRoom(wanted));
  ASSIGN_OR_RETURN(const std::string random, pki::RandomBytes(kSecretBytes));
  MadeToken made;
  made.text = std::string(kPrefix) + std::string(WordOf(wanted.kind)) + Base64Url(random);
  users::v1::Token record;
  record.set_version(kRecordVersion);
  record.set_uid(wanted.uid);
  record.set_kind(wanted.kind);
  record.set_name(wanted.name);
  record.set_everything(wanted.scope.operations == OperationSet::All());
  if (!record.everything()) {
    for (const Operation operation : wanted.scope.operations.List()) {
      record.add_operations(std::string(NameOf(operation)));
    }
  }
  record.set_vcluster(wanted.scope.vcluster);
  const int64_t now = now_();
  // Later than the user's others: they end in the order in which they were made.
  const std::vector<TokenPtr> earlier = Of(wanted.uid);
  const int64_t last = earlier.empty() ? 0 : earlier.back()->record.created_unix_ms();
  record.set_created_unix_ms(std::max(now, last + 1));
  record.set_expires_unix_ms(now + wanted.life_ms);
  const std::string key = Hasher::Of(made.text).Hex();
  Transaction transaction;
  if (wanted.account_revision.has_value()) {
    const std::string account_key = NumberKey(wanted.uid);
    ASSIGN_OR_RETURN(const auto account,
                     Load<users::v1::Account>(store_, kUsersTable, account_key));
    if (!account.raw || account.value.revision() != *wanted.account_revision) return Changed();
    transaction.Expect(kUsersTable, account_key, account.raw);
  }
  transaction.Put(kUserTokensTable, key, std::nullopt, record);
  if (const Status made_durable = transaction.Commit(store_); !made_durable.ok()) {
    return made_durable.error().code() == Code::kFailedPrecondition ? Changed()
                                                                    : made_durable.error();
  }
  made.token = MakeEntry(key, std::move(record));
  return made;
}

Result<TokenPtr> TokenBook::Check(std::string_view text) const {
  if (text.size() > kTextBytesMax || !text.starts_with(kPrefix)) return Refused();
  const Digest hash = Hasher::Of(text);
  TokenPtr token;
  {
    const std::shared_lock lock(mutex_);
    const auto it = tokens_.find(hash);
    if (it != tokens_.end()) token = it->second;
  }
  const int64_t now = now_();
  if (token == nullptr || token->expires_unix_ms <= now) return Refused();
  if (now - token->used_unix_ms.load(std::memory_order_relaxed) >= kUseStepMs) {
    token->used_unix_ms.store(now, std::memory_order_relaxed);
  }
  return token;
}

TokenPtr TokenBook::Find(const std::string& id) const {
  const auto found = Select([&](const Token& token) { return token.id == id; });
  return found.size() == 1 ? found[0] : nullptr;
}

Status TokenBook::Revoke(const Token& token) { return store_.Delete(kUserTokensTable, token.key); }

Status TokenBook::RevokeAll(const std::vector<TokenPtr>& tokens) {
  for (size_t i = 0; i < tokens.size(); i += kChangesPerCommit) {
    Transaction transaction;
    for (size_t j = i; j < std::min(tokens.size(), i + kChangesPerCommit); ++j) {
      transaction.RemoveAny(kUserTokensTable, tokens[j]->key);
    }
    RETURN_IF_ERROR(transaction.Commit(store_));
  }
  return Ok();
}

Status TokenBook::RevokeOf(uint32_t uid, std::optional<users::v1::TokenKind> kind) {
  std::vector<TokenPtr> tokens = Of(uid);
  std::erase_if(tokens, [&](const auto& token) { return kind && token->record.kind() != *kind; });
  return RevokeAll(tokens);
}

Status TokenBook::RevokeOfVcluster(const std::string& vcluster) {
  return RevokeAll(Select(
      [&](const Token& token) { return !vcluster.empty() && token.scope.vcluster == vcluster; }));
}

Status TokenBook::RemoveEnded() {
  const int64_t now = now_();
  return RevokeAll(
      Select([&](const Token& token) { return token.record.expires_unix_ms() <= now; }));
}

Status TokenBook::WriteUses() {
  const auto used = Select([](const Token& token) {
    return token.used_unix_ms - token.record.used_unix_ms() >= kUseWrittenEveryMs;
  });
  for (const TokenPtr& token : used) {
    ASSIGN_OR_RETURN(auto loaded, Load<users::v1::Token>(store_, kUserTokensTable, token->key));
    if (!loaded.raw) continue;  // It was revoked meanwhile.
    loaded.value.set_used_unix_ms(token->used_unix_ms);
    Transaction transaction;
    transaction.Put(kUserTokensTable, token->key, loaded.raw, loaded.value);
    const Status written = transaction.Commit(store_);
    if (!written.ok() && written.error().code() != Code::kFailedPrecondition) return written;
  }
  return Ok();
}

}  // namespace strata::vcluster
