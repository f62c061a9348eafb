#include "layerfs/cmd/keepers.h"

#include <dirent.h>

#include <cstdlib>
#include <memory>

#include "common/file_io.h"
#include "layerfs/server/keeper.h"

namespace strata::layerfs {
namespace {

std::string ProcFile(pid_t pid, const std::string& name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

// The value of `--upper` in a command line of NUL-ended words.
std::string UpperOf(const std::string& cmdline) {
  const std::string option = std::string("\0--upper\0", 9);
  const size_t at = cmdline.find(option);
  return at == std::string::npos ? "" : std::string(cmdline.c_str() + at + option.size());
}

}  // namespace

Result<std::vector<KeeperProcess>> FindKeepers() {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir("/proc"), ::closedir);
  if (stream == nullptr) return Errno("list /proc");
  std::vector<KeeperProcess> keepers;
  while (const dirent* entry = ::readdir(stream.get())) {
    const pid_t pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (pid <= 0) continue;
    const auto comm = ReadFile(ProcFile(pid, "comm"));
    if (!comm.ok() || *comm != std::string(kKeeperName) + "\n") continue;
    const auto cmdline = ReadFile(ProcFile(pid, "cmdline"));
    // One that has ended and is not reaped yet has none.
    if (cmdline.ok() && !cmdline->empty()) keepers.push_back({pid, UpperOf(*cmdline)});
  }
  return keepers;
}

}  // namespace strata::layerfs
