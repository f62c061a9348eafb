#include "net/secure/esp_session.h"

#include <openssl/crypto.h>
#include <unistd.h>

#include <cerrno>

#include "common/file_io.h"
#include "common/log.h"
#include "common/pki/private_key.h"

namespace strata::net {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;

std::string_view TakeLine(std::string_view* text) {
  const size_t end = text->find('\n');
  const std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return line;
}

}  // namespace

bool EspSession::IsKept() const { return PathExists(path_); }

bool EspSession::Read(std::string_view text) {
  const auto key = SecretKey::Parse(TakeLine(&text));
  if (!key.ok()) return false;
  std::set<PublicKey> used;
  while (!text.empty()) {
    const auto other = PublicKey::Parse(TakeLine(&text));
    if (!other.ok()) return false;
    used.insert(*other);
  }
  current_ = *key;
  used_ = std::move(used);
  return true;
}

Status EspSession::Open() {
  if (!current_.is_none()) return Ok();
  if (!IsKept()) return Renew();
  ASSIGN_OR_RETURN(std::string text, ReadFile(path_, kFileBytesMax));
  const bool good = Read(text);
  OPENSSL_cleanse(text.data(), text.size());
  if (good) return Ok();
  LOG_WARNING(path_ + " is no session and is replaced");
  return Renew();
}

Status EspSession::Renew() {
  ASSIGN_OR_RETURN(const SecretKey next, SecretKey::GeneratePrivate());
  if (!current_.is_none()) previous_ = current_;
  current_ = next;
  used_.clear();
  return Save();
}

Status EspSession::Use(const std::vector<PublicKey>& others) {
  const size_t before = used_.size();
  used_.insert(others.begin(), others.end());
  return used_.size() == before ? Ok() : Save();
}

Status EspSession::Forget() {
  current_ = SecretKey();
  previous_.reset();
  used_.clear();
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path_);
  return Ok();
}

Status EspSession::Save() const {
  std::string text;
  text.reserve((used_.size() + 1) * 45);
  text += current_.ToString() + "\n";
  for (const PublicKey& other : used_) text += other.ToString() + "\n";
  RETURN_IF_ERROR(MakeDirectories(path_.substr(0, path_.rfind('/')), 0700));
  const Status saved = pki::SaveSecret(path_, text);
  OPENSSL_cleanse(text.data(), text.size());
  return saved;
}

}  // namespace strata::net
