// What vclusterd asks of strata-node, as a file of NUL-ended strings whose descriptor is passed. A
// file and not the command line, because environments hold secrets and ps shows command lines. Both
// programs come from one build, so the format has no version.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::vcluster {

// Starts a container (serve.h).
struct StartNodeRequest {
  std::string name;       // Of the container, as liblxc knows it.
  std::string lxc_path;   // liblxc's directory for it; its command socket is named after both.
  std::string root_dir;   // Where the root is attached, in a mount namespace of its own.
  std::string lock_path;  // Held (flock) until it runs, so that another can wait for us.
  // Bound from into the container: made read-only so that its root cannot undo it.
  std::vector<std::string> read_only_paths;
  std::vector<std::pair<std::string, std::string>> items;  // liblxc configuration, in order.
  // Files that are mounted over: made (0644, of `id_first`) where the root lacks them. liblxc would
  // make them with mode 0, and a saved image would have them so.
  std::vector<std::string> mount_point_files;
  uid_t id_first = 0;
  // Mount entries for which a directory inside the root (first) has to exist.
  std::vector<std::pair<std::string, std::string>> entries_if_directory;
  // Name and path of each volume. A path leads through the root, and is made where it is not there.
  std::vector<std::pair<std::string, std::string>> volumes;
  std::vector<std::string> argv;  // Process 1, which gets kStartedFd and kLockFd.
};

// Runs a command in a container; its 0, 1 and 2 are those of strata-node, and so is its exit code.
struct ExecNodeRequest {
  std::string name;
  std::string lxc_path;
  std::string working_directory;  // Empty: the user's home, or "/".
  uid_t uid = 0;                  // Inside the container.
  gid_t gid = 0;
  bool terminal = false;  // Descriptor 0 becomes the controlling terminal.
  std::vector<std::string> env;
  std::vector<std::string> argv;
};

// kInvalidArgument: a string holds a NUL.
Result<std::string> Encode(const StartNodeRequest& request);
Result<std::string> Encode(const ExecNodeRequest& request);
// kInvalidArgument for anything that Encode does not write.
Result<StartNodeRequest> DecodeStart(std::string_view bytes);
Result<ExecNodeRequest> DecodeExec(std::string_view bytes);

// `bytes` as an anonymous file, read from its start.
Result<UniqueFd> RequestFile(std::string_view bytes);

inline constexpr size_t kRequestBytesMax = 4u << 20;
inline constexpr int kRequestFd = 3;
// Of process 1: a socket over which it tells that it runs, and the lock, which it unlocks then.
// Above those that liblxc may have open.
inline constexpr int kStartedFd = 200;
inline constexpr int kLockFd = 201;
// Messages of `strata-node serve`.
inline constexpr std::string_view kStartRequest = "start";
inline constexpr std::string_view kStarterRuns = "runs ";  // Then the pid.
inline constexpr size_t kStarterAnswerBytesMax = 4096;
// The exit code of `strata-node exec` when the command could not be run in the container at all.
inline constexpr int kExecFailed = 125;

}  // namespace strata::vcluster
