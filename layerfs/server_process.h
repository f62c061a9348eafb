// The start of a server process of a FUSE mount, both ends of it. The process we start hands over
// to one of its own (no child for our caller to reap), which says when it serves.
//
// What the server is given, besides its command line:
//   descriptor 3  the /dev/fuse connection
//   descriptor 4  the readiness pipe: kServerReady once it serves; anything else is the reason why
//                 it does not, up to the end of file
//   descriptor 2  its log, appended to
//   descriptor 5  what it is to keep open until it ends (a lock), if there is any
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::layerfs {

inline constexpr int kServerFuseFd = 3;
inline constexpr int kServerReadyFd = 4;
inline constexpr int kServerLockFd = 5;
inline constexpr std::string_view kServerReady = "ready\n";

struct ServerProcess {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH when it has no slash.
  std::string log_path;
  UniqueFd fuse_fd;
  UniqueFd kept;  // May be invalid.
};

// Ok when it serves. It is in a session of its own and logs to `log_path`. kDeadlineExceeded when
// it is not ready by `deadline` (it is killed then); kNotFound without such a program; otherwise
// the reason that the server gives.
Status StartServer(ServerProcess process, std::chrono::steady_clock::time_point deadline);

// The server's side of its launcher: who waits for one of the two words. A process that is to
// become another server's (a keeper and its children share descriptors) must Forget it once it was
// told: the numbers may be other descriptors' then.
class Launcher {
 public:
  Launcher() = default;  // Nobody waits.
  Launcher(UniqueFd ready, UniqueFd started)
      : ready_(std::move(ready)), started_(std::move(started)) {}

  bool waits() const { return ready_.valid(); }
  void TellReady();
  void TellFailure(std::string_view reason);
  void Forget();

 private:
  UniqueFd ready_;
  UniqueFd started_;
};

// Runs `serve` in a process of its own, and ends this one with 0 once the launcher was told that it
// is ready, otherwise with what `serve` answers. The exit code of the calling process.
int ServeApart(int fuse_fd, int ready_fd, const std::function<int(Launcher)>& serve);

}  // namespace strata::layerfs
