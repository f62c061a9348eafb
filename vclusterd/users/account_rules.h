// What the fields of an account may be. Pure; every fault is kInvalidArgument and says the rule.
#pragma once

#include <string_view>

#include "common/result.h"

namespace strata::vcluster {

inline constexpr size_t kPasswordBytesMin = 10;
inline constexpr size_t kPasswordBytesMax = 1024;
inline constexpr size_t kNoteBytesMax = 500;

// As useradd(8) of Debian: a lower-case letter or '_', then letters, digits, '_' and '-'; at most
// 32. The same for groups.
Status CheckUserName(std::string_view name);
Status CheckGroupName(std::string_view name);
// One line of UTF-8 without what passwd(5) cannot hold; may be empty.
Status CheckRealName(std::string_view name);
// One '@' with something on both sides, nothing a mail's head would take apart; may be empty.
Status CheckMail(std::string_view mail);
// One line of UTF-8.
Status CheckNote(std::string_view note);
// Length counts, and that it is not the name (NIST SP 800-63B, section 5.1.1.2): demands of kinds
// of characters make passwords worse.
Status CheckPassword(std::string_view password, std::string_view user_name);

}  // namespace strata::vcluster
