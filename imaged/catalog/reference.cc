#include "imaged/catalog/reference.h"

#include <algorithm>
#include <charconv>

namespace strata::imaged {
namespace {

constexpr size_t kPartLengthMax = 128;
constexpr size_t kDigestPrefixMin = 8;
constexpr std::string_view kDigestAlgorithm = "blake3:";

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsPart(std::string_view part) {
  return !part.empty() && part.size() <= kPartLengthMax && IsAlphanumeric(part[0]) &&
         std::all_of(part.begin(), part.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

Error BadReference(std::string_view whole, const std::string& why) {
  return Error(Code::kInvalidArgument, "'" + std::string(whole.substr(0, 300)) +
                                           "' is no image reference: " + why +
                                           "; write [owner/]name[:tag] or [owner/]name@digest");
}

Status CheckPart(std::string_view part, const char* what, std::string_view whole) {
  if (IsPart(part)) return Ok();
  return BadReference(whole, "the " + std::string(what) +
                                 " must be 1-128 of letters, digits, '.', '_', '-' and start with "
                                 "a letter or digit");
}

Status CheckDigestPrefix(std::string_view hex, std::string_view whole) {
  const bool good = hex.size() >= kDigestPrefixMin && hex.size() <= 2 * Digest::kSize &&
                    std::all_of(hex.begin(), hex.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                    });
  if (good) return Ok();
  return BadReference(whole, "the digest must be blake3:<64 hex digits>, or 8 or more of them");
}

// Takes "owner/" from the front of `*rest`.
Result<uid_t> TakeOwner(std::string_view whole, uid_t caller_uid, const Accounts& accounts,
                        std::string_view* rest) {
  const size_t slash = rest->find('/');
  if (slash == std::string_view::npos) return caller_uid;
  const std::string owner(rest->substr(0, slash));
  RETURN_IF_ERROR(CheckPart(owner, "owner", whole));
  const std::optional<uid_t> uid = accounts.UidOf(owner);
  if (!uid) return Error(Code::kNotFound, "there is no user '" + owner + "' on this host");
  rest->remove_prefix(slash + 1);
  return *uid;
}

}  // namespace

std::string Reference::ToString(const Accounts& accounts) const {
  const std::string owner_and_name = accounts.UserName(owner_uid) + "/" + name;
  return has_digest() ? owner_and_name + "@" + digest_prefix : owner_and_name + ":" + tag;
}

Result<Reference> ParseReference(std::string_view text, uid_t caller_uid,
                                 const Accounts& accounts) {
  Reference reference;
  std::string_view rest = text;
  ASSIGN_OR_RETURN(reference.owner_uid, TakeOwner(text, caller_uid, accounts, &rest));
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    std::string_view hex = rest.substr(at + 1);
    if (hex.starts_with(kDigestAlgorithm)) hex.remove_prefix(kDigestAlgorithm.size());
    RETURN_IF_ERROR(CheckDigestPrefix(hex, text));
    reference.digest_prefix = hex;
    reference.name = rest.substr(0, at);
  } else {
    const size_t colon = rest.find(':');
    reference.name = rest.substr(0, colon);
    reference.tag = colon == std::string_view::npos ? "latest" : rest.substr(colon + 1);
    RETURN_IF_ERROR(CheckPart(reference.tag, "tag", text));
  }
  RETURN_IF_ERROR(CheckPart(reference.name, "name", text));
  return reference;
}

Result<Reference> ParseClassName(std::string_view text, uid_t caller_uid,
                                 const Accounts& accounts) {
  Reference reference;
  std::string_view rest = text;
  ASSIGN_OR_RETURN(reference.owner_uid, TakeOwner(text, caller_uid, accounts, &rest));
  reference.name = rest;
  if (IsPart(rest)) return reference;
  return Error(Code::kInvalidArgument,
               "'" + std::string(text.substr(0, 300)) +
                   "' is no class: write [owner/]name, 1-128 of letters, digits, '.', '_', '-'");
}

std::string ClassKey(const Reference& reference) {
  return std::to_string(reference.owner_uid) + "/" + reference.name;
}

std::string TagKey(const Reference& reference) { return TagPrefix(reference) + reference.tag; }

std::string ImageKey(const Reference& reference, const Digest& digest) {
  return ImagePrefix(reference) + digest.Hex();
}

std::string ImagePrefix(const Reference& reference) { return ClassKey(reference) + "@"; }
std::string TagPrefix(const Reference& reference) { return ClassKey(reference) + ":"; }

std::optional<Reference> ParseKey(std::string_view key) {
  Reference reference;
  const auto [end, error] =
      std::from_chars(key.data(), key.data() + key.size(), reference.owner_uid);
  const size_t slash = static_cast<size_t>(end - key.data());
  if (error != std::errc() || slash >= key.size() || key[slash] != '/') return std::nullopt;
  const std::string_view rest = key.substr(slash + 1);
  const size_t mark = rest.find_first_of(":@");
  reference.name = rest.substr(0, mark);
  if (mark != std::string_view::npos) {
    (rest[mark] == ':' ? reference.tag : reference.digest_prefix) = rest.substr(mark + 1);
  }
  if (!IsPart(reference.name)) return std::nullopt;
  return reference;
}

}  // namespace strata::imaged
