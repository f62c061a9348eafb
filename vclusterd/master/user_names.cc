#include "vclusterd/master/user_names.h"

#include <pwd.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <mutex>
#include <vector>

namespace strata::vcluster {
namespace {

constexpr size_t kBufferSize = 16 * 1024;
constexpr std::chrono::seconds kRemembered(10);
constexpr size_t kRememberedMax = 10'000;

std::optional<std::string> AskHost(uint32_t uid) {
  std::vector<char> buffer(kBufferSize);
  passwd entry;
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return std::nullopt;
  }
  return found->pw_name;
}

struct Remembered {
  std::optional<std::string> name;
  std::chrono::steady_clock::time_point until;
};

}  // namespace

std::optional<std::string> HostUserName(uint32_t uid) {
  static std::mutex mutex;
  static std::map<uint32_t, Remembered> remembered;
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex);
    const auto found = remembered.find(uid);
    if (found != remembered.end() && now < found->second.until) return found->second.name;
  }
  auto name = AskHost(uid);
  const std::lock_guard lock(mutex);
  if (remembered.size() >= kRememberedMax) remembered.clear();
  remembered[uid] = {name, now + kRemembered};
  return name;
}

std::optional<uint32_t> HostUid(const std::string& name) {
  std::vector<char> buffer(kBufferSize);
  passwd entry;
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return found->pw_uid;
}

}  // namespace strata::vcluster
