#include "vclusterd/master/user_names.h"

#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <vector>

namespace strata::vcluster {

std::string UserName(uid_t uid) {
  std::vector<char> buffer(16 * 1024);
  passwd entry;
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return std::to_string(uid);
}

Result<uid_t> UserId(const std::string& name) {
  std::vector<char> buffer(16 * 1024);
  passwd entry;
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr) {
    return found->pw_uid;
  }
  uid_t uid = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), uid);
  if (!name.empty() && parsed.ec == std::errc() && parsed.ptr == name.data() + name.size()) {
    return uid;
  }
  return Error(Code::kNotFound, "no user is called '" + name + "'");
}

}  // namespace strata::vcluster
