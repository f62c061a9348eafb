// StartRecorder: which files of a root are opened after it was mounted, in the order of their first
// opening, for a while. The paths tell imaged what a start of the image needs first
// (docs/objects.md, "Lazy images").
//
// By fanotify(7) on the root's file system, which sees every open on it, from any mount namespace
// and by both drivers. Costs each open of the root a message while it lasts, and nothing later.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::layerfs {

class StartRecorder {
 public:
  // At most so many files; also ends the recording.
  static constexpr size_t kPathsMax = 32'768;

  using Done = std::function<void(std::vector<std::string> paths)>;

  // `root`: the mount, attached or not. `mountpoint`: where it will be, cut off from the paths.
  // `done` is called once, by a thread of this, when `time` is over. kUnsupported: the kernel has
  // no fanotify.
  static Result<std::unique_ptr<StartRecorder>> Begin(int root, std::chrono::milliseconds time,
                                                      std::string mountpoint, Done done);
  // Ends it without `done`, if that was not called yet.
  ~StartRecorder();

  // `done` was called, and has returned.
  bool ended() const { return ended_; }

 private:
  StartRecorder(UniqueFd group, UniqueFd stop, std::string mountpoint)
      : group_(std::move(group)), stop_(std::move(stop)), mountpoint_(std::move(mountpoint)) {}
  // False: stopped before `end`.
  bool Collect(std::chrono::steady_clock::time_point end, std::vector<std::string>* paths);

  const UniqueFd group_;
  const UniqueFd stop_;  // An eventfd.
  const std::string mountpoint_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace strata::layerfs
