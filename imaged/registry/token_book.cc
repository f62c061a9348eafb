#include "imaged/registry/token_book.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <chrono>

#include "common/file_io.h"
#include "common/pki/private_key.h"
#include "common/pki/random.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

constexpr size_t kFileBytesMax = 32u << 20;
constexpr uint32_t kFormat = 1;
constexpr size_t kNameBytesMax = 64;
constexpr size_t kIdBytes = 8;
constexpr size_t kSecretBytes = 24;
constexpr size_t kSaltBytes = 16;
constexpr std::string_view kPrefix =
    "strata-";  // Of a secret: programs that look for leaks know it.
constexpr std::chrono::hours kDefaultLife{24 * 365};
constexpr std::chrono::hours kLongestLife{24 * 3660};

// "strata-<id>-<random>"
std::string HashOf(std::string_view salt_hex, std::string_view secret) {
  return pki::HexOf(pki::Sha256(std::string(salt_hex) + std::string(secret)));
}

std::string IdOf(std::string_view secret) {
  if (!secret.starts_with(kPrefix)) return "";
  return std::string(secret.substr(kPrefix.size(), 2 * kIdBytes));
}

Status CheckName(const std::string& name) {
  const bool good =
      name.size() <= kNameBytesMax && std::all_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) >= ' ' && c != '\x7f';
      });
  if (good) return Ok();
  return Error(Code::kInvalidArgument, "a token's name is at most 64 characters in one line");
}

Result<int64_t> EndOf(const v1::CreateTokenRequest& request, pki::Time now) {
  if (request.expires_unix_ms() == 0) return UnixMs(now + kDefaultLife);
  if (request.expires_unix_ms() <= UnixMs(now) ||
      request.expires_unix_ms() > UnixMs(now + kLongestLife)) {
    return Error(Code::kInvalidArgument, "a token ends in the future, ten years from now at most");
  }
  return request.expires_unix_ms();
}

}  // namespace

Result<std::unique_ptr<TokenBook>> TokenBook::Open(const std::string& path,
                                                   const Accounts& accounts) {
  std::unique_ptr<TokenBook> book(new TokenBook(path, accounts));
  if (!PathExists(path)) return book;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileBytesMax));
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &book->file_);
  if (!parsed.ok() || book->file_.format() != kFormat ||
      book->file_.entries_size() > kRegistryTokensMax) {
    return Error(Code::kCorrupt, path + " is no list of registry tokens of format 1");
  }
  return book;
}

Status TokenBook::Save(v1::RegistryTokenFile next) {
  next.set_format(kFormat);
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  const auto printed = google::protobuf::util::MessageToJsonString(next, &text, options);
  if (!printed.ok()) return Error(Code::kInternal, "print " + path_ + ": " + printed.ToString());
  RETURN_IF_ERROR(pki::SaveSecret(path_, text));
  file_ = std::move(next);
  return Ok();
}

Result<v1::CreateTokenResponse> TokenBook::Create(uid_t caller,
                                                  const v1::CreateTokenRequest& request,
                                                  pki::Time now) {
  RETURN_IF_ERROR(CheckName(request.name()));
  ASSIGN_OR_RETURN(const int64_t expires_unix_ms, EndOf(request, now));
  ASSIGN_OR_RETURN(const std::string id, pki::RandomBytes(kIdBytes));
  ASSIGN_OR_RETURN(const std::string random, pki::RandomBytes(kSecretBytes));
  ASSIGN_OR_RETURN(const std::string salt, pki::RandomBytes(kSaltBytes));
  v1::CreateTokenResponse response;
  v1::RegistryToken& token = *response.mutable_token();
  token.set_id(pki::HexOf(id));
  token.set_name(request.name());
  token.set_user(accounts_.UserName(caller));
  token.set_uid(caller);
  token.set_read_only(request.read_only());
  token.set_created_unix_ms(UnixMs(now));
  token.set_expires_unix_ms(expires_unix_ms);
  response.set_secret(std::string(kPrefix) + token.id() + "-" + pki::HexOf(random));

  const std::lock_guard lock(mutex_);
  v1::RegistryTokenFile next;
  int own = 0;
  for (const auto& entry : file_.entries()) {
    if (entry.token().expires_unix_ms() <= UnixMs(now)) continue;
    *next.add_entries() = entry;
    own += entry.token().uid() == caller ? 1 : 0;
  }
  if (own >= kRegistryTokensPerUserMax || next.entries_size() >= kRegistryTokensMax) {
    return Error(Code::kResourceExhausted,
                 own >= kRegistryTokensPerUserMax
                     ? "you have " + std::to_string(own) + " tokens: revoke some first"
                     : "there are too many tokens on this host");
  }
  auto* entry = next.add_entries();
  *entry->mutable_token() = token;
  entry->set_salt(pki::HexOf(salt));
  entry->set_sha256(HashOf(entry->salt(), response.secret()));
  RETURN_IF_ERROR(Save(std::move(next)));
  return response;
}

Result<v1::ListTokensResponse> TokenBook::List(uid_t caller, bool all_users) const {
  if (all_users && caller != 0) {
    return Error(Code::kPermissionDenied, "the tokens of all users are for root to see");
  }
  v1::ListTokensResponse response;
  const std::lock_guard lock(mutex_);
  for (const auto& entry : file_.entries()) {
    if (!all_users && entry.token().uid() != caller) continue;
    v1::RegistryToken& token = *response.add_tokens();
    token = entry.token();
    const auto used = last_used_unix_ms_.find(token.id());
    if (used != last_used_unix_ms_.end()) token.set_last_used_unix_ms(used->second);
  }
  return response;
}

Result<v1::RegistryToken> TokenBook::Revoke(uid_t caller, const std::string& id) {
  const std::lock_guard lock(mutex_);
  v1::RegistryTokenFile next;
  std::optional<v1::RegistryToken> revoked;
  for (const auto& entry : file_.entries()) {
    const bool his = caller == 0 || entry.token().uid() == caller;
    if (his && entry.token().id() == id) {
      revoked = entry.token();
    } else {
      *next.add_entries() = entry;
    }
  }
  if (!revoked) {
    return Error(Code::kNotFound,
                 "there is no token '" + id.substr(0, 64) + "': see 'vimage token list'");
  }
  RETURN_IF_ERROR(Save(std::move(next)));
  last_used_unix_ms_.erase(id);
  return *revoked;
}

Result<v1::RegistryToken> TokenBook::Find(const std::string& user, std::string_view secret,
                                          pki::Time now) const {
  const Error refused(Code::kPermissionDenied,
                      "user or token are wrong: 'vimage token create' makes a token");
  const std::string id = IdOf(secret);
  for (const auto& entry : file_.entries()) {
    if (entry.token().id() != id) continue;
    const bool right = pki::EqualInConstantTime(entry.sha256(), HashOf(entry.salt(), secret));
    if (!right || entry.token().expires_unix_ms() <= UnixMs(now)) return refused;
    // He is still called so, and logs in by this name or his number.
    const std::string name = accounts_.UserName(entry.token().uid());
    if (name != entry.token().user()) return refused;
    if (user != name && user != std::to_string(entry.token().uid())) return refused;
    return entry.token();
  }
  return refused;
}

Result<v1::RegistryToken> TokenBook::LogIn(const std::string& user, std::string_view secret,
                                           const std::string& client, pki::Time now) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(guesses_.Check(client, now));
  Result<v1::RegistryToken> found = Find(user, secret, now);
  if (found.ok()) {
    last_used_unix_ms_[found->id()] = UnixMs(now);
  } else {
    guesses_.Count(client, now);
  }
  return found;
}

bool TokenBook::IsGood(const std::string& id, pki::Time now) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(file_.entries().begin(), file_.entries().end(),
                                  [&](const auto& entry) { return entry.token().id() == id; });
  if (found == file_.entries().end() || found->token().expires_unix_ms() <= UnixMs(now)) {
    return false;
  }
  return accounts_.UserName(found->token().uid()) == found->token().user();
}

}  // namespace strata::imaged
