#include "imaged/catalog/reference.h"

#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <vector>

namespace strata::imaged {
namespace {

constexpr size_t kPartLengthMax = 128;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

Status CheckPart(std::string_view part, const char* what, std::string_view whole) {
  bool good = !part.empty() && part.size() <= kPartLengthMax && IsAlphanumeric(part[0]);
  for (const char c : part) good = good && (IsAlphanumeric(c) || c == '.' || c == '_' || c == '-');
  if (good) return Ok();
  return Error(Code::kInvalidArgument,
               "'" + std::string(whole.substr(0, 300)) + "' is no image reference: the " + what +
                   " must be 1-128 of letters, digits, '.', '_', '-' and start with a letter or "
                   "digit; write [owner/]name[:tag]");
}

std::vector<char> PasswdBuffer() {
  const long size = ::sysconf(_SC_GETPW_R_SIZE_MAX);
  return std::vector<char>(size > 0 ? static_cast<size_t>(size) : 16384);
}

std::optional<uid_t> UidOf(const std::string& owner) {
  uid_t uid = 0;
  const auto [end, error] = std::from_chars(owner.data(), owner.data() + owner.size(), uid);
  if (error == std::errc() && end == owner.data() + owner.size()) return uid;
  std::vector<char> buffer = PasswdBuffer();
  passwd entry;
  passwd* found = nullptr;
  if (::getpwnam_r(owner.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return found->pw_uid;
}

}  // namespace

std::string UserName(uid_t uid) {
  std::vector<char> buffer = PasswdBuffer();
  passwd entry;
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return std::to_string(uid);
  }
  return found->pw_name;
}

std::string Reference::Key() const { return std::to_string(owner_uid) + "/" + name + ":" + tag; }

std::string Reference::ToString() const { return UserName(owner_uid) + "/" + name + ":" + tag; }

Result<Reference> ParseReference(std::string_view text, uid_t caller_uid) {
  Reference reference;
  reference.owner_uid = caller_uid;
  std::string_view rest = text;
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    const std::string owner(rest.substr(0, slash));
    RETURN_IF_ERROR(CheckPart(owner, "owner", text));
    const std::optional<uid_t> uid = UidOf(owner);
    if (!uid) return Error(Code::kNotFound, "there is no user '" + owner + "' on this host");
    reference.owner_uid = *uid;
    rest.remove_prefix(slash + 1);
  }
  const size_t colon = rest.find(':');
  reference.name = rest.substr(0, colon);
  reference.tag = colon == std::string_view::npos ? "latest" : rest.substr(colon + 1);
  RETURN_IF_ERROR(CheckPart(reference.name, "name", text));
  RETURN_IF_ERROR(CheckPart(reference.tag, "tag", text));
  return reference;
}

}  // namespace strata::imaged
