#include "vclusterd/host/process_marks.h"

#include <dirent.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "common/file_io.h"
#include "common/unique_fd.h"

namespace strata::vcluster {
namespace {

constexpr size_t kEnvironmentBytesMax = 8u << 20;  // execve(2) allows 6 MiB.
constexpr int kRoundsMax = 50;
constexpr std::chrono::milliseconds kRoundMax(200);

std::string NamespaceOf(pid_t pid) {
  char text[64];
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/pid";
  const ssize_t size = ::readlink(path.c_str(), text, sizeof(text));
  return size <= 0 ? std::string() : std::string(text, static_cast<size_t>(size));
}

// "A=1\0B=2\0"
bool Holds(std::string_view environment, std::string_view mark) {
  while (!environment.empty()) {
    const size_t end = std::min(environment.find('\0'), environment.size());
    if (environment.substr(0, end) == mark) return true;
    environment.remove_prefix(std::min(environment.size(), end + 1));
  }
  return false;
}

// `found` gets a pidfd that was open before the process was looked at: nobody has its number since.
Status ForEachMarked(pid_t init, const std::string& mark,
                     const std::function<void(UniqueFd)>& found) {
  const std::string space = NamespaceOf(init);
  if (space.empty()) return Ok();  // The node has ended, and with it all of its processes.
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir("/proc"));
  if (dir == nullptr) return Errno("opendir /proc");
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (pid == init || NamespaceOf(pid) != space) continue;
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!fd.valid()) continue;
    const auto environment =
        ReadFile("/proc/" + std::to_string(pid) + "/environ", kEnvironmentBytesMax);
    if (environment.ok() && Holds(*environment, mark)) found(std::move(fd));
  }
  return Ok();
}

void Send(const UniqueFd& pid_fd, int signal) {
  ::syscall(SYS_pidfd_send_signal, pid_fd.get(), signal, nullptr, 0);
}

}  // namespace

Result<size_t> SignalMarked(pid_t init, const std::string& mark, int signal) {
  size_t count = 0;
  RETURN_IF_ERROR(ForEachMarked(init, mark, [&](const UniqueFd& fd) {
    Send(fd, signal);
    ++count;
  }));
  return count;
}

Status KillMarked(pid_t init, const std::string& mark) {
  size_t left = 0;
  for (int round = 0; round < kRoundsMax; ++round) {
    std::vector<UniqueFd> found;
    RETURN_IF_ERROR(
        ForEachMarked(init, mark, [&](UniqueFd fd) { found.push_back(std::move(fd)); }));
    if (found.empty()) return Ok();
    left = found.size();
    for (const UniqueFd& fd : found) Send(fd, SIGKILL);
    for (const UniqueFd& fd : found) {
      pollfd ended{fd.get(), POLLIN, 0};
      ::poll(&ended, 1, static_cast<int>(kRoundMax.count()));
    }
  }
  return Error(Code::kDeadlineExceeded,
               std::to_string(left) + " processes with " + mark + " do not end");
}

}  // namespace strata::vcluster
