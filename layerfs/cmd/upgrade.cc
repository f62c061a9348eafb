#include "layerfs/cmd/upgrade.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

#include "common/file_io.h"
#include "common/unique_fd.h"
#include "layerfs/cmd/keepers.h"

namespace strata::layerfs {
namespace {

constexpr auto kUpgradeTime = std::chrono::seconds(20);

// Of a keeper, which has one child at most. Absent: none, for now or for ever.
std::optional<pid_t> ServerOf(pid_t keeper) {
  const std::string task = "task/" + std::to_string(keeper) + "/children";
  const auto children = ReadFile("/proc/" + std::to_string(keeper) + "/" + task);
  if (!children.ok() || children->empty()) return std::nullopt;
  return static_cast<pid_t>(std::strtol(children->c_str(), nullptr, 10));
}

// False: the old server is still there when the time is over.
Result<bool> UpgradeOne(pid_t keeper) {
  const std::optional<pid_t> server = ServerOf(keeper);
  if (!server) return Error(Code::kUnavailable, "it is between two servers: try again");
  const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, *server, 0)));
  if (!ended.valid()) return Errno("watch the server");
  if (::kill(keeper, SIGHUP) != 0) return Errno("tell the keeper");
  pollfd poll_fd{ended.get(), POLLIN, 0};
  const int n = ::poll(&poll_fd, 1, std::chrono::milliseconds(kUpgradeTime).count());
  if (n < 0) return Errno("poll");
  return n > 0;
}

}  // namespace

void AddUpgrade(CLI::App& app, UpgradeArguments* arguments) {
  auto* upgrade = app.add_subcommand(
      "upgrade", "Have running fuse drivers go on as the binary that is installed now");
  upgrade->add_option("--upper", arguments->upper, "Only the root with this upper directory");
}

Status RunUpgrade(const UpgradeArguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<KeeperProcess> keepers, FindKeepers());
  int upgraded = 0;
  std::string failures;
  bool found = false;
  for (const KeeperProcess& keeper : keepers) {
    if (!arguments.upper.empty() && keeper.upper != arguments.upper) continue;
    found = true;
    const Result<bool> done = UpgradeOne(keeper.pid);
    if (done.ok() && *done) {
      ++upgraded;
      std::printf("%s: upgraded\n", keeper.Name().c_str());
    } else {
      const std::string why = done.ok() ? "stayed with the old version" : done.error().message();
      failures += "\n  " + keeper.Name() + ": " + why + " (its log says more)";
    }
  }
  if (!arguments.upper.empty() && !found) {
    return Error(Code::kNotFound, arguments.upper + ": no fuse driver runs on it");
  }
  if (!failures.empty()) return Error(Code::kFailedPrecondition, "not upgraded:" + failures);
  std::printf("%d fuse driver%s upgraded\n", upgraded, upgraded == 1 ? "" : "s");
  return Ok();
}

}  // namespace strata::layerfs
