// VolumeCuts: an ext4 volume whose power can be cut. The volume is a loop device on a file of an
// XFS in memory; a cut is a reflink of that file: one instant of what had reached the device. What
// the page cache of the volume held, its file system had not written, and is not in it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/file_io.h"
#include "common/mount.h"
#include "common/subprocess.h"

namespace strata {

inline void Must(const Status& status) { ASSERT_TRUE(status.ok()) << status.error().message(); }
inline void MustRun(const std::vector<std::string>& argv) {
  const auto ran = RunChecked(argv);
  ASSERT_TRUE(ran.ok()) << ran.error().message();
}

// A number that the environment may give.
inline uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

// Somewhere within the next `most`: no event tells what a crash should hit.
inline void SpinSomewhereWithin(std::chrono::microseconds most, std::mt19937_64* random) {
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::microseconds((*random)() % static_cast<uint64_t>(most.count()));
  while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
}

class VolumeCuts {
 public:
  // `mebibytes`: of the volume.
  explicit VolumeCuts(int mebibytes) {
    auto directory = TemporaryDirectory::Create("/dev/shm", "strata-power-cut.");
    EXPECT_TRUE(directory.ok());
    directory_.emplace(std::move(*directory));
    holder_ = directory_->path() + "/holder";
    volume_ = directory_->path() + "/volume";
    Must(MakeDirectories(holder_));
    Must(MakeDirectories(volume_));
    const std::string device = directory_->path() + "/device";
    MustRun({"truncate", "-s", "1G", device});
    MustRun({"mkfs.xfs", "-q", "-m", "reflink=1", device});
    MustRun({"mount", "-o", "loop", device, holder_});
    MustRun({"truncate", "-s", std::to_string(mebibytes) + "M", holder_ + "/fresh"});
    MustRun({"mkfs.ext4", "-q", "-m", "0", holder_ + "/fresh"});
  }
  ~VolumeCuts() {
    Must(Unmount());
    Must(strata::Unmount(holder_));
  }
  VolumeCuts(const VolumeCuts&) = delete;
  VolumeCuts& operator=(const VolumeCuts&) = delete;

  // Where the volume is mounted.
  const std::string& path() const { return volume_; }
  // An empty volume, to be used and cut.
  void MountFresh() {
    Clone(holder_ + "/fresh", holder_ + "/used");
    Mount(holder_ + "/used");
  }
  // The volume as it was when MountFresh's was last unmounted.
  void MountUsed() { Mount(holder_ + "/used"); }
  void Cut(int number) { Clone(holder_ + "/used", CutPath(number)); }
  void MountCut(int number) { Mount(CutPath(number)); }
  Status Unmount() { return strata::Unmount(volume_); }

 private:
  std::string CutPath(int number) const { return holder_ + "/cut" + std::to_string(number); }
  void Mount(const std::string& image) { MustRun({"mount", "-o", "loop", image, volume_}); }
  static void Clone(const std::string& from, const std::string& to) {
    const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_EQ(::ioctl(target.get(), FICLONE, source.get()), 0) << Errno("clone").message();
  }

  std::optional<TemporaryDirectory> directory_;
  std::string holder_;
  std::string volume_;
};

}  // namespace strata
