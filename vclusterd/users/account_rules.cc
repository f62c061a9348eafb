#include "vclusterd/users/account_rules.h"

#include <algorithm>
#include <string>

#include "common/printable.h"

namespace strata::vcluster {
namespace {

constexpr size_t kNameBytesMax = 32;
constexpr size_t kRealNameBytesMax = 200;
constexpr size_t kMailBytesMax = 254;  // RFC 5321 with erratum 1690.

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  if (!IsLower(name[0]) && name[0] != '_') return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return IsLower(c) || IsDigit(c) || c == '_' || c == '-'; });
}

Status CheckName(std::string_view name, const char* whose) {
  if (IsName(name)) return Ok();
  return Error(Code::kInvalidArgument,
               "'" + Printable(name, 64) + "' is no name of a " + whose +
                   ": a lower-case letter or '_', then lower-case letters, digits, '_' and '-', " +
                   std::to_string(kNameBytesMax) + " at most");
}

// Printable changes control characters and what is no UTF-8.
bool IsLine(std::string_view text, size_t bytes_max) {
  return text.size() <= bytes_max && Printable(text, bytes_max) == text;
}

}  // namespace

Status CheckUserName(std::string_view name) { return CheckName(name, "user"); }
Status CheckGroupName(std::string_view name) { return CheckName(name, "group"); }

Status CheckRealName(std::string_view name) {
  if (IsLine(name, kRealNameBytesMax) && name.find_first_of(":,=") == std::string_view::npos) {
    return Ok();
  }
  return Error(Code::kInvalidArgument, "a real name is one line of at most " +
                                           std::to_string(kRealNameBytesMax) +
                                           " bytes without ':', ',' and '='");
}

Status CheckMail(std::string_view mail) {
  if (mail.empty()) return Ok();
  const size_t at = mail.find('@');
  const bool good = IsLine(mail, kMailBytesMax) && at != 0 && at != std::string_view::npos &&
                    at + 1 < mail.size() && mail.find('@', at + 1) == std::string_view::npos &&
                    mail.find_first_of(" ,;:<>()[]\\\"") == std::string_view::npos;
  if (good) return Ok();
  return Error(Code::kInvalidArgument, "'" + Printable(mail, 64) + "' is no mail address");
}

Status CheckNote(std::string_view note) {
  if (IsLine(note, kNoteBytesMax)) return Ok();
  return Error(Code::kInvalidArgument, "a note or reason is one line of at most " +
                                           std::to_string(kNoteBytesMax) + " bytes");
}

Status CheckPassword(std::string_view password, std::string_view user_name) {
  if (password.size() < kPasswordBytesMin || password.size() > kPasswordBytesMax) {
    return Error(Code::kInvalidArgument, "a password has " + std::to_string(kPasswordBytesMin) +
                                             " to " + std::to_string(kPasswordBytesMax) + " bytes");
  }
  if (password.find('\0') != std::string_view::npos) {
    return Error(Code::kInvalidArgument, "a password has no zero byte");
  }
  const bool same_bytes =
      std::all_of(password.begin(), password.end(), [&](char c) { return c == password[0]; });
  if (same_bytes || password == user_name) {
    return Error(Code::kInvalidArgument, "this password would be guessed first");
  }
  return Ok();
}

}  // namespace strata::vcluster
